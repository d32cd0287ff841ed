"""Permissions of checkpoints, and calling a model of another project."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.conftest import CHECKPOINT, Served

from nanosmith.store.records import ProjectRow


@pytest.fixture
def own(fresh: Served) -> OpenAI:
    """A client of a server with a second project."""
    fresh.services.ledger.add(ProjectRow("proj_b", "b", int(time.time())))
    return fresh.client()


def test_create_list_delete(own: OpenAI) -> None:
    """One permission per project, also when it is asked for twice; pages in either order; what is deleted is gone."""
    calls = own.fine_tuning.checkpoints.permissions
    made = calls.create(CHECKPOINT, project_ids=["proj_b", "default"]).data
    assert [row.project_id for row in made] == ["proj_b", "default"]
    assert calls.create(CHECKPOINT, project_ids=["proj_b"]).data[0].id == made[0].id
    assert [row.id for row in calls.list(CHECKPOINT)] == [made[1].id, made[0].id]
    assert [row.id for row in calls.list(CHECKPOINT, order="ascending", limit=1)] == [made[0].id, made[1].id]
    assert [row.project_id for row in calls.list(CHECKPOINT, project_id="proj_b")] == ["proj_b"]
    gone = calls.delete(made[0].id, fine_tuned_model_checkpoint=CHECKPOINT)
    assert (gone.id, gone.deleted) == (made[0].id, True)
    assert [row.id for row in calls.list(CHECKPOINT)] == [made[1].id]


def test_wrong_requests(own: OpenAI) -> None:
    """An unknown project, model, permission or order is named."""
    calls = own.fine_tuning.checkpoints.permissions
    with pytest.raises(openai.BadRequestError) as caught:
        calls.create(CHECKPOINT, project_ids=["proj_none"])
    assert caught.value.param == "project_ids[0]"
    with pytest.raises(openai.NotFoundError):
        calls.create("ft:none", project_ids=["proj_b"])
    with pytest.raises(openai.NotFoundError):
        calls.delete("cp_none", fine_tuned_model_checkpoint=CHECKPOINT)
    with pytest.raises(openai.BadRequestError, match="ascending or descending"):
        calls.list(CHECKPOINT, order="up")  # type: ignore[arg-type]


def test_permission_makes_a_model_callable(fresh: Served, own: OpenAI) -> None:
    """The other project can call and retrieve the model while the permission lasts, but not delete or share it."""
    other: Any = fresh.services.of("proj_b")
    assert other.ledger.model(CHECKPOINT) is None
    assert other.ledger.shared_model(CHECKPOINT) is None
    [given] = own.fine_tuning.checkpoints.permissions.create(CHECKPOINT, project_ids=["proj_b"]).data
    row, project = other.ledger.shared_model(CHECKPOINT)
    assert (row.name, project) == (CHECKPOINT, "default")
    assert other.ledger.model(CHECKPOINT) is None
    assert fresh.services.of("proj_c").ledger.shared_model(CHECKPOINT) is None
    own.fine_tuning.checkpoints.permissions.delete(given.id, fine_tuned_model_checkpoint=CHECKPOINT)
    assert other.ledger.shared_model(CHECKPOINT) is None
