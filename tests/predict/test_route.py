"""Routes in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import nanosmith as ns
from nanosmith.core.errors import InputError, NotFound
from nanosmith.core.manifest import Calibration
from nanosmith.core.prediction import FieldAnswer, Prediction, Predictor
from nanosmith.predict.route import Step, is_sure, quantile
from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder with one model."""
    monkeypatch.chdir(tmp_path)
    opened = open_home(tmp_path / "home")
    bundle = tiny_bundle(opened.bundles / "tiny")
    ledger = open_ledger(opened)
    ledger.add_model(ModelRow("tiny", 1_700_000_000, "tiny", bundle.digest, "nanosmith-nano"))
    ledger.close()
    return opened


def test_the_first_that_is_sure_enough_answers(home: Home) -> None:
    """And each prediction says who it was."""
    tiny = ns.open(home.bundles / "tiny")
    with FakeProvider(default="refund") as provider:
        far = ns.endpoint(provider.remote(), tiny.task, home=home)
        assert isinstance(ns.route(ns.step(tiny, accept=0.01), ns.step(far)), Predictor)
        near = ns.route(ns.step(tiny, accept=0.01), ns.step(far)).predict(["a", "b"])
        assert [one.by for one in near] == ["tiny", "tiny"]
        assert provider.seen()["requests"] == 0
        away = ns.route(ns.step(tiny, accept=1.0), ns.step(far)).predict(["a", "b"])
        assert [(one.by, one.value) for one in away] == [(provider.remote(), "refund")] * 2
        assert ns.route(ns.step(tiny, accept=1.0), ns.step(far)).predict([]) == []


def test_a_step_that_fails_is_passed_over(home: Home) -> None:
    """The last one's error is told."""
    from nanosmith.predict.endpoint.client import Patience
    from nanosmith.predict.endpoint.failure import EndpointError

    with FakeProvider(faults="500=1") as provider:
        far = ns.endpoint(provider.remote(), home=home, patience=Patience(retries=0))
        near = ns.step("tiny", home=home)
        assert ns.route(ns.step(far), near).predict(["a"])[0].by == "tiny"
        with pytest.raises(EndpointError):
            ns.route(ns.step(near.predictor, accept=1.0), ns.step(far)).predict(["a"])


def test_a_route_of_the_file(home: Home) -> None:
    """By its name; the remote model is asked for the local one's labels."""
    with FakeProvider(default="login") as provider:
        steps = f'[[route.r.steps]]\nmodel = "tiny"\naccept = 1.0\n[[route.r.steps]]\nmodel = "{provider.remote()}"\n'
        (home.root / FILE_NAME).write_text(f"[route.r]\n{steps}")
        route = ns.route("r", home=home)
        assert (route.name, route.predict(["x"])[0].value) == ("r", "login")
    with pytest.raises(NotFound, match="no route of this name"):
        ns.route("s", home=home)


def test_wrong_routes_are_refused(home: Home) -> None:
    """Before anything is asked."""
    tiny = ns.open(home.bundles / "tiny")
    with pytest.raises(InputError, match="needs a step"):
        ns.route()
    with pytest.raises(InputError, match="the last step answers"):
        ns.route(Step(tiny, 0.5))
    with pytest.raises(InputError, match="not a threshold"):
        ns.step(tiny, accept=2)
    with pytest.raises(NotFound, match="no model of this name"):
        ns.step("tine", home=home)


def test_confidence() -> None:
    """Of a record that of its least sure field; of a text a quantile of its tokens'."""
    fields = (FieldAnswer("a", 1, 0.9), FieldAnswer("b", 2, 0.4))
    assert Prediction("{}", 0.99, (), (), "x", fields=fields).sureness == 0.4
    assert Prediction("{}", 0.99, (), (), "x", fields=(FieldAnswer("a", 1, None),)).sureness is None
    assert Prediction("a", 0.7, (), (), "x").sureness == 0.7
    assert quantile([-0.1] * 9 + [-3.0], 0.1) == pytest.approx(0.9048, abs=1e-4)
    assert quantile([-0.1] * 9 + [-3.0], 0.0) == pytest.approx(0.0498, abs=1e-4)
    assert quantile([], 0.1) is None


def test_what_has_no_confidence_is_not_accepted(home: Home) -> None:
    """A model that was never calibrated leaves its answers to the next."""
    import msgspec

    from nanosmith.core.manifest import MANIFEST_NAME
    from nanosmith.store.bundles import open_bundle

    raw = tiny_bundle(home.bundles / "raw", name="raw")
    manifest = msgspec.structs.replace(raw.manifest, calibration=Calibration(examples=0))
    (raw.path / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
    tiny, unsure = ns.open(home.bundles / "tiny"), ns.open(open_bundle(raw.path))
    assert ns.route(ns.step(unsure, accept=0.0), ns.step(tiny)).predict(["a"])[0].by == "tiny"


class _Far:
    value = 0.4


def test_what_is_far_is_less_sure() -> None:
    """A threshold is compared with the same number that certificates are made of: the confidence, less the further the
    text is out of scope."""
    far = Prediction("a", 0.95, ("a",), (1.0,), "x", far=_Far())
    assert far.sureness == pytest.approx(0.95 * 0.84)
    assert not is_sure(far, 0.9)
    assert is_sure(far, 0.79)
