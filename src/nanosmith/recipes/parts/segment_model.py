"""A fitted model of segments: an encoder, a head that labels one query, and a head that tags tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.segments import HEAD_FILE, Head, read, scores
from nanosmith.recipes.parts.batches import by_length
from nanosmith.recipes.parts.encoder_model import plain_tokenizer
from nanosmith.recipes.parts.export import EncoderGraph, export
from nanosmith.recipes.parts.forward import Packing, token_vectors
from nanosmith.recipes.parts.graph import Tagger
from nanosmith.recipes.parts.ranges import SAMPLE, activation_ranges
from nanosmith.recipes.work import Draft, Floats2d, Samples, Work

BATCH = 32


class SegmentNet(torch.nn.Module):  # type: ignore[misc]
    """`head` labels unit vectors (D → L), `tags` tells outside, begin and inside of a query (D → 3)."""

    def __init__(self, encoder: torch.nn.Module, head: torch.nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.tags = torch.nn.Linear(head.in_features, 3)
        torch.nn.init.normal_(self.tags.weight, std=0.02)
        torch.nn.init.zeros_(self.tags.bias)


class SegmentModel:
    """The Model of `tune_segments`."""

    def __init__(self, work: Work, net: SegmentNet, settings: dict[str, Any], trained_tokens: int) -> None:
        self._base, self._task, self._watch = work.base, work.task, work.watch
        self._sample = work.train.texts[:: max(1, len(work.train) // SAMPLE)]
        self.net, self.settings, self.trained_tokens = net, settings, trained_tokens

    def logits(self, texts: Sequence[str]) -> Floats2d:
        """Scores (N, L) as the runtime's: above 0 for the labels that are answered."""
        found = np.zeros((len(texts), len(self._task.labels)), dtype=np.float32)
        head = self._head()
        for i, tokens, tags in self._tokens(texts):
            mean = tokens.mean(axis=0, keepdims=True)
            whole = mean / np.linalg.norm(mean) @ head.weight + head.bias
            found[i] = scores(tokens, tags, whole[0], head)
        return found

    def embeddings(self, texts: Sequence[str]) -> Floats2d:
        """Unit vectors (N, D) of whole texts."""
        found = np.zeros((len(texts), self.net.head.in_features), dtype=np.float32)
        for i, tokens, _ in self._tokens(texts):
            mean = tokens.mean(axis=0)
            found[i] = mean / np.linalg.norm(mean)
        return found

    def write(self, folder: Path, check: Samples) -> Draft:
        """Write model.onnx (through the parity gate on `check`), head.safetensors and tokenizer.json."""
        base, encoder, head = self._base, self.net.encoder, self._head()
        tags = self.net.tags
        graph = EncoderGraph(
            weights={name: tensor.detach().numpy() for name, tensor in encoder.state_dict().items()},
            head=head, config=base.config, pooling="mean", max_tokens=base.max_tokens,
            ranges=activation_ranges(base, encoder, base.token_ids(self._sample)),
            tagger=Tagger(None, tags.weight.detach().numpy().T, tags.bias.detach().numpy(), tokens=True),
            read=lambda graph, row: read(graph, row, head),
        )  # fmt: skip
        self._watch.progress("write the bundle", 0, 1)
        reference = self.logits(check.texts)
        parity = export(graph, folder, base.token_ids(check.texts), reference, check.targets, self._watch)
        save_file(head._asdict(), folder / HEAD_FILE)
        plain_tokenizer(base).save(str(folder / TOKENIZER_FILE), pretty=False)
        self._watch.progress("write the bundle", 1, 1)
        return Draft("segments/1", base.max_tokens, self.settings, {"parity": parity})

    def _head(self) -> Head:
        weight, bias = self.net.head.weight.detach().numpy().T, self.net.head.bias.detach().numpy()
        return Head(np.ascontiguousarray(weight), bias)

    def _tokens(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Number, token vectors (T, D) and tags (T, 3) of each text, in any order."""
        ids = self._base.token_ids(texts)
        done = 0
        with torch.inference_mode():
            for batch in by_length(ids, BATCH):
                packing = Packing([ids[i] for i in batch], int(self._base.config["pad_token_id"]))
                hidden = token_vectors(self.net.encoder, packing, torch.float32)
                sizes = packing.lengths.tolist()
                for i, tokens, tags in zip(batch, hidden.split(sizes), self.net.tags(hidden).split(sizes)):
                    yield i, tokens.numpy(), tags.numpy()
                done += len(batch)
                self._watch.check()
                self._watch.progress("score held-out examples", done, len(ids))
