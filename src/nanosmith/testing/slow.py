"""A flow that stands in for the real one in tests of jobs: it takes its steps, and learns nothing."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing.tiny import tiny_bundle


class FakeTuned(msgspec.Struct, frozen=True):
    """What `slow_tune` returns: the fields of the real flow's result."""

    bundle: Bundle
    report: None
    model_name: str
    recipe: str
    trained_tokens: int


def slow_tune(
    train: Any, *, test: Any = None, settings: TuneSettings, home: Home, ledger: Ledger, watch: Watch,
    step_s: float = 0.02, **_: Any,
) -> FakeTuned:  # fmt: skip
    """Stands in for `nanosmith.flows.tune.tune`: takes `settings.epochs` (20) steps, seals a tiny bundle and registers
    it under `settings.name`, with one checkpoint half-way."""
    total, name = settings.epochs or 20, settings.name or "slow"
    watch.resolved({"n_epochs": total, "batch_size": 8, "learning_rate_multiplier": 1.0})
    for step in range(1, total + 1):
        watch.check()
        time.sleep(step_s)
        watch.metrics(step, total, {"train_loss": 1 / step} | ({} if test is None else {"valid_loss": 2 / step}))
        if step == total // 2:
            _register_tiny(home, ledger, f"{name}:ckpt-step-{step}", train.task.labels)
            watch.checkpoint(step, {"train_loss": 1 / step}, f"{name}:ckpt-step-{step}")
    bundle = _register_tiny(home, ledger, name, train.task.labels)
    return FakeTuned(bundle, None, name, "static/1", 100 * total)


def hungry_tune(*_: Any, **__: Any) -> FakeTuned:
    """A flow that writes temporary files until the disk is full."""
    with (Path(tempfile.mkdtemp()) / "weights").open("wb") as file:
        while True:
            file.write(bytes(65_536))


def _register_tiny(home: Home, ledger: Ledger, name: str, labels: Sequence[str]) -> Bundle:
    """In a folder of this attempt's own, which goes when it cannot be registered, as the real flow does; a name that an
    earlier attempt announced is this one's from then on."""
    home.bundles.mkdir(parents=True, exist_ok=True)
    folder = home.bundles / f"{name.replace(':', '-')}-{secrets.token_hex(4)}"
    bundle = tiny_bundle(folder, labels, name=name)
    earlier = ledger.model(name)
    try:
        if earlier is None:
            ledger.add_model(ModelRow(name, int(time.time()), folder.name, bundle.digest, base="none"))
        else:
            ledger.update_model(name, bundle=folder.name, digest=bundle.digest)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if earlier is not None:
        shutil.rmtree(home.bundles / earlier.bundle, ignore_errors=True)
    return bundle
