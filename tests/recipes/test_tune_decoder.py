from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.watch import Watch
from nanosmith.recipes import tune_decoder
from nanosmith.recipes.base_folder import find_decoder
from nanosmith.recipes.parts.chat import passages, sample_of
from nanosmith.recipes.parts.decoder import Decoder
from nanosmith.recipes.parts.decoder_batches import TextSample
from nanosmith.recipes.parts.text_work import TextWork
from nanosmith.recipes.work import FitState
from nanosmith.testing.tiny_decoder import save_tiny_decoder

COLOURS = ("red", "blue")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = tmp_path_factory.mktemp("decoder")
    return Decoder(find_decoder(str(save_tiny_decoder(folder / "base")), folder))


def samples(base: Decoder, n: int = 24, weight: float = 1.0) -> list[TextSample]:
    return [
        sample_of(base.chat, (Message("user", f"{COLOURS[i % 2]} {i // 4}"),), f"so {COLOURS[i % 2]}", weight, 128)
        for i in range(n)
    ]


def work(base: Decoder, **more: Any) -> TextWork:
    given: dict[str, Any] = {
        "method": "supervised", "train": samples(base), "tune": samples(base, 4), "base": base, "seed": 3,
        "watch": Watch(), "options": {"n_epochs": 3, "learning_rate_multiplier": 3.0}, **more,
    }  # fmt: skip
    return TextWork(**given)


def test_answers_are_learnt(base: Decoder) -> None:
    """The held-out loss falls with every pass, and only tokens of answers are counted."""
    model = tune_decoder.fit(work(base))
    course = model.notes["held_out"]
    assert course["before"] > course["passes"][0] > course["passes"][-1]
    assert model.settings["steps"] == 9
    assert model.trained_tokens < 3 * sum(one.tokens for one in samples(base))  # prompts that are shared


def test_weights_are_honoured(base: Decoder) -> None:
    """An answer of weight 0 teaches nothing: what stands beside it is learnt as if it were alone."""
    prompt = (Message("user", "which"),)
    wanted, other = (sample_of(base.chat, prompt, answer, 1.0, 64) for answer in ("left", "right"))
    mixed = [wanted, TextSample(other.prompt, other.answer, 0.0)] * 8
    model = tune_decoder.fit(work(base, train=mixed, tune=[]))
    alone = tune_decoder.fit(work(base, train=[wanted] * 8, tune=[], options={"n_epochs": 6,
                                  "learning_rate_multiplier": 3.0}))  # fmt: skip
    untouched = _zero(base).log_probabilities(wanted.prompt, [wanted.answer, other.answer])
    found, single = (one.log_probabilities(wanted.prompt, [wanted.answer, other.answer]) for one in (model, alone))
    assert found[0] > untouched[0] + 1
    assert found[1] - untouched[1] < found[0] - untouched[0]
    assert single[0] > untouched[0] + 1
    with pytest.raises(InputError, match="nothing to learn"):
        tune_decoder.fit(work(base, train=samples(base, weight=0.0)))


def test_preferences_are_learnt(base: Decoder) -> None:
    """After dpo the preferred answers have gained against the others, also to prompts that were not trained on, and the
    loss is that of Rafailov et al.: ln 2 before."""

    def pair(text: str) -> list[TextSample]:
        return [sample_of(base.chat, (Message("user", text),), answer, 1.0, 128) for answer in ("yes please", "no way")]

    train = [one for i in range(12) for one in pair(f"shall we {i}")]
    tune = pair("shall we go")
    before = _zero(base).log_probabilities(tune[0].prompt, [one.answer for one in tune])
    model = tune_decoder.fit(work(base, method="dpo", train=train, tune=tune,
                                  options={"n_epochs": 4, "learning_rate_multiplier": 20.0}))  # fmt: skip
    after = model.log_probabilities(tune[0].prompt, [one.answer for one in tune])
    assert (after[0] - after[1]) - (before[0] - before[1]) > 1
    assert model.notes["held_out"]["before"] == pytest.approx(np.log(2), abs=1e-4)
    assert model.notes["held_out"]["passes"][-1] < 0.69
    assert model.settings["beta"] == 0.1


def test_domain_text_is_learnt(base: Decoder) -> None:
    """Plain text is learnt token by token, in passages."""
    found = passages(base.chat, ["the same words again and again"] * 20, 64)
    assert {len(one.answer) for one in found[:-1]} == {64}
    course = tune_decoder.fit(work(base, method="domain", train=found[:-2], tune=found[-2:])).notes["held_out"]
    assert course["passes"][-1] < course["before"] - 0.2


class Killed(Exception):
    pass


class Keeper:
    """Keeps the state of every step, and kills the run after some."""

    def __init__(self, kill_at: int | None, kept: FitState | None = None) -> None:
        self._kill_at, self.kept = kill_at, kept

    def load(self) -> FitState | None:
        return self.kept

    def due(self) -> bool:
        return True

    def save(self, state: FitState) -> None:
        arrays = {name: np.array(array) for name, array in state.arrays.items()}
        self.kept = FitState(state.step, arrays, state.notes)
        if state.step == self._kill_at:
            raise Killed


def test_a_killed_run_goes_on_to_the_same_bits(base: Decoder, tmp_path: Path) -> None:
    """Killed in the second pass and started again, a run ends with the weights that it would have had."""
    whole = tune_decoder.fit(work(base))
    first = Keeper(kill_at=5)
    with pytest.raises(Killed):
        tune_decoder.fit(work(base, keeper=first))
    second = tune_decoder.fit(work(base, keeper=Keeper(None, first.kept)))
    for name, model in (("whole", whole), ("second", second)):
        model.save(tmp_path / name)
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "second")]
    assert files[0] == files[1]
    assert whole.trained_tokens == second.trained_tokens
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip


def test_training_ends_where_held_out_loss_rises(base: Decoder) -> None:
    """With held-out answers that contradict the training the first passes' adapter is kept, and the run ends early."""
    against = [TextSample(one.prompt, other.answer) for one, other in zip(samples(base, 4), samples(base, 5)[1:])]
    model = tune_decoder.fit(work(base, tune=against, options={"n_epochs": 40, "learning_rate_multiplier": 5.0}))
    assert model.settings["epochs_done"] < 40


def _zero(base: Decoder) -> Any:
    """The base, as a model whose adapter adds nothing."""
    from nanosmith.recipes.parts.decoder_model import DecoderModel

    return DecoderModel(work(base), base.new_model(3), {}, 0, {})
