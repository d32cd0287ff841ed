"""All models on the straight line from an earlier model's weights to what further training made of them.

On the way from the one to the other the new is learnt before the old is forgotten (WiSE-FT, Wortsman et al. 2022).
Letters: S shares, N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nanosmith.recipes.parts.encoder_model import EncoderModel
from nanosmith.recipes.parts.head import linear
from nanosmith.recipes.static import SCALE, StaticModel
from nanosmith.recipes.work import Floats2d, Model, Work

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Span(Protocol):
    """`shares` are those that may be asked for: 0 is the earlier model with its grown head, 1 the trained one."""

    shares: tuple[float, ...]

    def at(self, share: float, shift: NDArray[np.float32]) -> Model:
        """The model there; `shift` (L) is added to its scores."""
        ...


def logits(span: Span, texts: Sequence[str], labels: int) -> NDArray[np.float32]:
    """Scores (S, N, L) of the models at all shares."""
    if not texts:
        return np.zeros((len(span.shares), 0, labels), dtype=np.float32)
    zero = np.zeros(labels, dtype=np.float32)
    found: list[Floats2d] = [span.at(share, zero).logits(texts) for share in span.shares]
    return np.stack(found)


def span_of(work: Work, head: torch.nn.Linear, trained: Model | None) -> Span:
    """From the base of `work` with `head` to `trained`, or the base alone."""
    if work.base.static_vectors() is not None:
        assert trained is None or isinstance(trained, StaticModel)
        return _StaticSpan(work, head, trained)
    assert trained is None or isinstance(trained, EncoderModel)
    return _EncoderSpan(work, head, trained)


class _EncoderSpan:
    def __init__(self, work: Work, head: torch.nn.Linear, trained: EncoderModel | None) -> None:
        self._work, self._head, self._trained = work, head, trained
        self.shares: tuple[float, ...] = SHARES if trained else (0.0,)

    def at(self, share: float, shift: NDArray[np.float32]) -> EncoderModel:
        settings: dict[str, Any] = {"n_epochs": 0, "interpolation": share}
        if self._trained is None or self._trained.encoder is None or share == 0.0:
            settings |= self._trained.settings if self._trained else {}
            return EncoderModel(self._work, None, _shifted(self._head, shift), settings, self._tokens)
        encoder = self._work.base.new_encoder()
        encoder.load_state_dict(_between(encoder, self._trained.encoder, share))
        head = torch.nn.Linear(self._head.in_features, self._head.out_features)
        head.load_state_dict(_between(self._head, self._trained.head, share))
        settings = {**self._trained.settings, "interpolation": share}
        return EncoderModel(self._work, encoder, _shifted(head, shift), settings, self._tokens)

    @property
    def _tokens(self) -> int:
        return self._trained.trained_tokens if self._trained else 0


class _StaticSpan:
    def __init__(self, work: Work, head: torch.nn.Linear, trained: StaticModel | None) -> None:
        start = work.base.static_vectors()
        assert start is not None
        self._base, self._trained = work.base, trained
        self._start = (start, head.weight.detach().numpy().T, head.bias.detach().numpy())
        self.shares: tuple[float, ...] = SHARES if trained else (0.0,)

    def at(self, share: float, shift: NDArray[np.float32]) -> StaticModel:
        reached = self._trained.parts if self._trained else self._start
        vectors, weight, bias = ((1 - share) * a + share * b for a, b in zip(self._start, reached))
        known = self._trained.settings if self._trained else {"n_epochs": 0}
        tokens = self._trained.trained_tokens if self._trained else 0
        head = linear((weight / SCALE).astype(np.float32), (bias + shift).astype(np.float32))
        return StaticModel(self._base, vectors.astype(np.float32), head, {**known, "interpolation": share}, tokens)


def _between(start: torch.nn.Module, end: torch.nn.Module, share: float) -> dict[str, torch.Tensor]:
    reached = end.state_dict()
    return {name: torch.lerp(tensor, reached[name], share) for name, tensor in start.state_dict().items()}


def _shifted(head: torch.nn.Linear, shift: NDArray[np.float32]) -> torch.nn.Linear:
    moved = torch.nn.Linear(head.in_features, head.out_features)
    moved.load_state_dict(head.state_dict())
    with torch.no_grad():
        moved.bias += torch.from_numpy(shift)
    return moved
