"""Jobs that learn preferences, and texts under any model's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanosmith.jobs import run
from nanosmith.jobs.models import fitting, resolve
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.testing import slow_tune

DPO = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}


def preferences(n: int = 12) -> bytes:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    lines = [
        {
            "input": {"messages": [{"role": "user", "content": f"shall we {i}"}]},
            "preferred_output": said("yes"),
            "non_preferred_output": said("no"),
        }
        for i in range(n)
    ]
    return "\n".join(map(json.dumps, lines)).encode()


def test_preferences_are_learnt_with_dpo(home: Home, ledger: Ledger, upload: Any, create: Any) -> None:
    """A job with the method dpo and a file of preferences tunes a decoder, whatever its model stands for."""
    given: list[Any] = []

    def tune(train: Any, **options: Any) -> Any:
        given.append((train, options["settings"]))
        return slow_tune(train, step_s=0, **options)

    job = create(training_file=upload(preferences()), method=DPO)
    run.main(job.id, home, tune=tune)
    ((train, settings),) = given
    assert (train.task.kind, train.examples[0].rejected) == ("text", "no")
    assert (settings.method, settings.beta, settings.size) == ("dpo", 0.2, "auto")
    found = ledger.job(job.id)
    assert found is not None
    assert found.hyperparameters["beta"] == 0.2


@pytest.mark.parametrize(("method", "has_preferences"), [(DPO, False), (None, True), ({"type": "supervised"}, True)])
def test_a_file_of_another_method_is_refused(
    home: Home, ledger: Ledger, upload: Any, create: Any, method: dict[str, Any] | None, has_preferences: bool
) -> None:
    """Preferences without dpo, and dpo without preferences, fail the job before any training."""
    file = upload(preferences()) if has_preferences else upload()
    job = create(training_file=file, **({"method": method} if method else {}))
    run.main(job.id, home, tune=lambda *given, **options: pytest.fail("was tuned"))
    found = ledger.job(job.id)
    assert found is not None
    assert (found.status, found.error["code"], found.error["param"]) == (
        "failed", "invalid_training_file", "training_file",
    )  # fmt: skip


def test_texts_are_not_bound_to_a_size_for_labels() -> None:
    """A vendor's name that stands for an encoder's size leaves the size open for texts."""
    nano = resolve("gpt-4.1-nano")
    assert fitting(nano, "text").size == "auto"
    assert fitting(nano, "choice") == nano
    mini = resolve("nanosmith-mini")
    assert (fitting(mini, "text"), mini.size) == (mini, "mini")
