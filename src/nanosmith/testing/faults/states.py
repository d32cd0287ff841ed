"""Training states: their process is killed before each flush, and they are cut short."""

from __future__ import annotations

import itertools
import os
import signal
from functools import partial
from pathlib import Path

from nanosmith.store import checkpoints
from nanosmith.store.atomic import PART
from nanosmith.testing.faults.apart import apart
from nanosmith.testing.faults.folder import files_in
from nanosmith.testing.faults.forked import break_by, fork, wait
from nanosmith.testing.faults.found import Findings, Outcome, Tick, unheard
from nanosmith.testing.faults.steps import before_flush, die

LEAST = 7
"""Flushes that there are at least: of two files, two folders, the manifest, its folder, the name."""
STEPS = 3


def killed(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Before each flush of a training state its process is killed. The newest state is then the old one or the new one,
    whole. Raises FaultFound, NotPossible."""
    return apart(f"{__name__}:_killed", folder, tick, broken=broken)


def truncated(folder: Path, *, broken: str = "", tick: Tick = unheard) -> Outcome:
    """Each file of the newest state is cut, at its begin, in its middle and before its end. The state before it is
    found, whole, and a sentence tells of the other. Raises FaultFound, NotPossible."""
    return apart(f"{__name__}:_truncated", folder, tick, broken=broken)


def _killed(folder: Path, tick: Tick, broken: str) -> Outcome:
    for number in itertools.count(1):
        states, found = folder / str(number), Findings()
        _save(states, 1)
        was_killed = wait(fork(partial(_save_doomed, states, number, broken))) == -signal.SIGKILL
        saved = checkpoints.newest(states)
        if saved is None:
            found.lost.append(f"both states, at flush {number}")
        elif saved.step == 1 and not was_killed:
            found.lost.append("the new state, which was saved")
        elif _content(saved.path) != _weights(saved.step):
            found.wrong.append(f"the state of step {saved.step} has another content, at flush {number}")
        _save(states, 3)
        found.wrong += [f"a partial state {path.name}" for path in states.glob(f"{PART}*")]
        found.raise_if_any()
        if not was_killed:
            break
        tick(number, 0)
    if number <= LEAST:
        raise RuntimeError(f"only {number - 1} flushes were seen")
    return Outcome(number - 1, number)


def _save_doomed(folder: Path, number: int, broken: str) -> None:
    break_by(broken)
    before_flush(number, die)
    _save(folder, 2)


def _save(folder: Path, step: int) -> None:
    def write(state: Path) -> None:
        (state / "sub").mkdir()
        (state / "sub" / "weights").write_bytes(_weights(step))
        (state / "about.json").write_bytes(b"{}")

    checkpoints.save(folder, step, write)


def _content(state: Path) -> bytes:
    return (state / "sub" / "weights").read_bytes()


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _weights(step: int) -> bytes:
    return b"%d" % step * 10_000


def _truncated(folder: Path, tick: Tick, broken: str) -> Outcome:
    break_by(broken)
    _save(folder / "sample", 1)
    names = [path.relative_to(folder / "sample" / _name(1)) for path in files_in(folder / "sample")]
    rounds = [(name, share) for name in names for share in (0, 0.5, 1)]
    for number, (name, share) in enumerate(rounds, 1):
        states, found = folder / str(number), Findings()
        told: list[str] = []
        for step in range(1, STEPS + 1):
            _save(states, step)
        path = states / _name(STEPS) / name
        os.truncate(path, min(int(share * path.stat().st_size), path.stat().st_size - 1))
        saved = checkpoints.newest(states, told.append)
        if saved is None or saved.step != STEPS - 1 or _content(saved.path) != _weights(STEPS - 1):
            found.wrong.append(f"with {name} cut short, {saved} was taken for the newest state that is right")
        if len(told) != 1:
            found.wrong.append(f"the damage of {name} was told in {len(told)} sentences")
        found.raise_if_any()
        tick(number, len(rounds))
    return Outcome(len(rounds), len(rounds))
