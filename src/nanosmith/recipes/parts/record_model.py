"""A fitted record model: it scores texts with the training graph, and is written as the files of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.pieces import reach
from nanosmith.predict.record import Scores
from nanosmith.predict.record_answer import Answerer
from nanosmith.predict.record_layout import LAYOUT_FILE, Confidences
from nanosmith.recipes.parts.batches import by_length
from nanosmith.recipes.parts.export import EncoderGraph
from nanosmith.recipes.parts.graph import Tagger
from nanosmith.recipes.parts.ranges import SAMPLE, ranges_of
from nanosmith.recipes.parts.record_export import export
from nanosmith.recipes.parts.record_figures import answers, outcomes
from nanosmith.recipes.parts.record_net import RecordNet
from nanosmith.recipes.parts.record_rows import RecordSamples, Row, RowMaker
from nanosmith.recipes.parts.record_work import RecordWork
from nanosmith.recipes.work import Draft, Samples

BATCH = 32  # windows


class RecordModel:
    """`settings` are those that it was trained with, `confidences` what its bundle tells them by."""

    def __init__(self, work: RecordWork, net: RecordNet, settings: dict[str, Any], trained_tokens: int) -> None:
        self._work, self.net, self.settings, self.trained_tokens = work, net, settings, trained_tokens
        self.confidences = Confidences()

    def scores(self, samples: RecordSamples) -> list[Scores]:
        """Of each text in turn, before calibration."""
        work = self._work
        maker = RowMaker(work.reader(), work.layout)
        owned = [maker.rows(samples, i) for i in range(len(samples))]
        rows = [row for own in owned for row in own]
        found: list[Scores | None] = [None] * len(rows)
        done = 0
        for batch in by_length([row.ids for row in rows], BATCH):
            for i, one in zip(batch, self._read([rows[i] for i in batch])):
                found[i] = one
            done += len(batch)
            work.watch.check()
            work.watch.progress("score held-out examples", done, len(rows))
        parts = iter(one for one in found if one is not None)
        return [_joined([next(parts) for _ in own]) for own in owned]

    def outcomes(self, samples: RecordSamples) -> NDArray[np.float32]:
        """What confidences are fitted on: see `record_figures.outcomes`."""
        work = self._work
        given = answers(work.reader(), Answerer(work.form, work.layout), samples, self.scores(samples))
        return outcomes(work.form, given, samples.values)

    def write(self, folder: Path, check: RecordSamples | Samples) -> Draft:
        """Write model.onnx (through the parity gate on `check`, which may be empty), tokenizer.json and record.json."""
        held_out = check if isinstance(check, RecordSamples) else self._work.tune.subset([])
        work, encoder = self._work, self.net.encoder
        some = work.train.subset(range(0, len(work.train), max(1, len(work.train) // SAMPLE)))
        graph = EncoderGraph(
            weights={name: tensor.detach().numpy() for name, tensor in encoder.state_dict().items()},
            head=self._head(), config=work.base.config, pooling=work.base.pooling, max_tokens=work.base.max_tokens,
            ranges=ranges_of(encoder, lambda: self._read_singly(some)), tagger=self._tagger(),
        )  # fmt: skip
        work.watch.progress("write the bundle", 0, 1)
        parity = export(graph, folder, work, held_out, self.scores(held_out))
        work.plain_tokenizer().save(str(folder / TOKENIZER_FILE), pretty=False)
        layout = msgspec.structs.replace(work.layout, confidences=self.confidences)
        (folder / LAYOUT_FILE).write_bytes(msgspec.json.encode(layout))
        work.watch.progress("write the bundle", 1, 1)
        return Draft("record/1", reach(work.reader().most), self.settings, {"parity": parity})

    def _read(self, rows: list[Row]) -> list[Scores]:
        """Of each window."""
        base = self._work.base
        with torch.inference_mode():
            tags, vectors = self.net(rows, pad_id=int(base.config["pad_token_id"]), pooling=base.pooling,
                                     dtype=torch.float32)  # fmt: skip
            chosen = self.net.chosen(vectors).numpy()
        parts = tags.split([len(row.places) for row in rows])
        return [Scores(part.numpy(), one) for part, one in zip(parts, chosen)]

    def _read_singly(self, samples: RecordSamples) -> None:
        maker = RowMaker(self._work.reader(), self._work.layout)
        for i in range(min(SAMPLE, len(samples))):
            for row in maker.rows(samples, i):
                self._read([row])

    def _head(self) -> tuple[np.ndarray, np.ndarray] | None:
        choices = self.net.choices
        if not choices.out_features:
            return None
        return choices.weight.detach().numpy().T * np.float32(self.net.scale), choices.bias.detach().numpy()

    def _tagger(self) -> Tagger:
        tags = self.net.tags
        return Tagger(self.net.table().detach().numpy(), tags.weight.detach().numpy().T, tags.bias.detach().numpy())


def _joined(parts: list[Scores]) -> Scores:
    """The scores of a text from those of its windows."""
    if len(parts) == 1:
        return parts[0]
    return Scores(np.concatenate([part.tags for part in parts]), np.mean([part.choices for part in parts], axis=0))
