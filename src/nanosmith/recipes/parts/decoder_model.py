"""A decoder with a trained adapter: the Model of `tune_decoder`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from nanosmith.predict.decoder import INNER_BASE
from nanosmith.recipes.parts.decoder import save_adapter
from nanosmith.recipes.parts.decoder_batches import Group, Layout
from nanosmith.recipes.parts.decoder_forward import answer_logits
from nanosmith.recipes.parts.text_work import TextWork
from nanosmith.recipes.work import Draft


class DecoderModel:
    """`model` is peft's; its adapter is this model's own copy. `notes` go into the manifest."""

    def __init__(
        self, work: TextWork, model: Any, settings: dict[str, Any], trained_tokens: int, notes: dict[str, Any]
    ) -> None:
        self.notes = notes
        self.base, self.settings, self.trained_tokens = work.base, settings, trained_tokens
        self._model, self._watch = model, work.watch
        self._adapter = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def log_probabilities(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        """Natural logs of whole answers, from the training graph."""
        group = Group(tuple(prompt), tuple(tuple(answer) for answer in answers), (1.0,) * len(answers))
        layout = Layout([group])
        with torch.inference_mode():
            self._switch_on()
            logits = answer_logits(self._model.get_base_model(), layout, self.base.dtype).cpu()
            losses = functional.cross_entropy(logits, layout.targets, reduction="none")
        found: list[float] = torch.zeros(len(answers)).index_add(0, layout.answer_of, -losses).tolist()
        return found

    def save(self, folder: Path) -> None:
        """The adapter as peft writes it."""
        self._switch_on()
        save_adapter(self._model, folder)

    def write(self, folder: Path, check: Any) -> Draft:
        """What the runtime opens; `check` is not used: the adapter is written as it is."""
        from nanosmith.recipes.parts.decoder_export import write_adapter

        base = self.base.served
        assert base is not None, "the base is sealed before a model on it is written"
        with tempfile.TemporaryDirectory() as made:
            self.save(Path(made))
            write_adapter(Path(made), base, folder)
        if self.base.is_copied:
            shutil.copytree(base.path, folder / INNER_BASE)
        return Draft("decoder/1", self.base.max_tokens, self.settings, self.notes)

    def _switch_on(self) -> None:
        """Checkpoints share one model, and each has its own adapter."""
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                if name in self._adapter:
                    parameter.copy_(self._adapter[name])
