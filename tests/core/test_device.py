"""Times of another device."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nanosmith.core.device import Device, encoder_costs, read_device
from nanosmith.core.errors import InputError

DEVICE = Device("a phone", 4, 0, "0", (0.5, 0.01, 0.1, 0.02, 0.001), (0.01, 0.001, 0.0), 0.05, 0.1)


def test_estimate_is_the_sum_of_what_the_parts_cost() -> None:
    """Twice the layers cost the same more again, and a static model its tokens."""
    one, two, three = (DEVICE.encoder(layers, 12, 1536, 384, 32, 16) for layers in (1, 2, 3))
    assert three - two == pytest.approx(two - one)
    assert DEVICE.static(64, 10) == pytest.approx(0.02)


def test_multiplications_of_a_layer() -> None:
    """MiniLM's layer: 4 · 384² + 2 · 384 · 1536 per token."""
    assert encoder_costs(1, 12, 1536, 384, 32, 1)[3] == pytest.approx(1.769472)


def test_profile_is_read_back(tmp_path: Path) -> None:
    """What was written is found again."""
    file = tmp_path / "phone.json"
    file.write_bytes(msgspec.json.encode(DEVICE))
    assert read_device(file) == DEVICE


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", msgspec.json.encode(msgspec.structs.replace(DEVICE, format=9))]
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """The error says how to make one."""
    file = tmp_path / "phone.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match="profile"):
        read_device(file)
