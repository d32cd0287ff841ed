"""Times of a device."""

from __future__ import annotations

import pytest

from nanosmith.core.device import ENCODER, STATIC, Timed, encoder_costs, static_costs
from nanosmith.core.watch import Watch
from nanosmith.flows import profile as module
from nanosmith.flows.profile import profile


def test_small_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real models are timed, and a larger one is estimated to take longer than a smaller one."""
    monkeypatch.setattr(module, "SHAPES", ((1, 2, 64), (2, 12, 512)))
    monkeypatch.setattr(module, "STATIC_WIDTHS", (64,))
    monkeypatch.setattr(module, "TOKENS", (6, 24))
    monkeypatch.setattr(module, "CALLS", 10)
    device = profile(Watch())
    assert len(device.times) == 6
    assert all(one.ms > 0 for one in device.times)
    assert device.encoder(2, 12, 512, 384, 32, 24) > device.encoder(1, 2, 64, 384, 32, 6) > 0
    assert device.static(64, 6) > 0


def test_prices_are_found_again() -> None:
    """Times that are such sums are priced exactly, and the error of the fit is nothing."""
    wanted = (0.3, 0.01, 0.05, 0.02, 0.4)
    times = [
        Timed(ENCODER, costs, sum(price * cost for price, cost in zip(wanted, costs)))
        for layers, heads, columns in module.SHAPES for tokens in module.TOKENS
        for costs in [encoder_costs(layers, heads, columns, 384, 32, tokens)]
    ]  # fmt: skip
    assert module._prices(times) == pytest.approx(wanted, rel=1e-3)
    assert module._errors(times).max() < 1e-3


def test_prices_are_never_negative() -> None:
    """A larger model is never estimated to be quicker, whatever noise was measured."""
    costs = [static_costs(width, tokens) for width in (64, 256) for tokens in (4, 8)]
    times = [Timed(STATIC, cost, ms) for cost, ms in zip(costs, (4.0, 3.0, 2.0, 1.0))]
    assert min(module._prices(times)) >= 0
