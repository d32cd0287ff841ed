"""Prompts with the answers that go on from them, laid out so that no token is computed twice.

Answers to the same prompt stand in one row behind it, and see the prompt and themselves alone: what is computed for the
prompt serves them all, and the gradients are those of as many separate rows. Padding exists in attention alone.

Letters: B rows, T tokens of the longest row, P tokens of all rows, A answers, M tokens of all answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import torch

from nanosmith.recipes.parts.forward import MASKED, Packing

SHARED = 8  # answers in one row at most: more would make the rows of a step alike
WINDOW = 8  # steps among which rows are put next to others of their length


class TextSample(msgspec.Struct, frozen=True):
    """Token ids of a prompt and of the answer that is learnt, with its end; `weight` scales its loss."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    weight: float = 1.0

    @property
    def tokens(self) -> int:
        return len(self.prompt) + len(self.answer)


class Group(msgspec.Struct, frozen=True):
    """A row: one prompt, and answers to it with their weights (A)."""

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]

    @property
    def tokens(self) -> int:
        """That are computed: the last one of an answer predicts nothing."""
        return len(self.prompt) + sum(len(answer) - 1 for answer in self.answers)


class Layout:
    """Rows as `packing`, with what each token sees, `positions` (P), and where each answer's tokens are predicted:
    `sources` (M) of the P, `targets` (M) ids, and `answer_of` (M), the answer in the order of the groups."""

    def __init__(self, groups: Sequence[Group]) -> None:
        rows = [[*group.prompt, *(token for answer in group.answers for token in answer[:-1])] for group in groups]
        self.packing = Packing(rows, 0)
        longest = self.packing.ids.shape[1]
        segments, positions = torch.full((2, len(rows), longest), -1)
        sources: list[int] = []
        targets: list[int] = []
        answer_of: list[int] = []
        starts = self.packing.starts.tolist()
        for row, (group, start) in enumerate(zip(groups, starts)):
            prompt = len(group.prompt)
            segments[row, :prompt], positions[row, :prompt] = 0, torch.arange(prompt)
            place = prompt
            for number, answer in enumerate(group.answers, start=1):
                end = place + len(answer) - 1
                segments[row, place:end], positions[row, place:end] = number, prompt + torch.arange(end - place)
                sources += [start + prompt - 1, *range(start + place, start + end)]
                targets += answer
                answer_of += [answer_of[-1] + 1 if answer_of else 0] * len(answer)
                place = end
        self.sources, self.targets, self.answer_of = map(torch.tensor, (sources, targets, answer_of))
        self.padded_positions = positions.clamp(min=0)  # (B, T)
        self.positions = positions.flatten()[self.packing.places]
        self.bias = _bias(segments)
        self.weights = torch.tensor([weight for group in groups for weight in group.weights])  # (A)

    @property
    def tokens(self) -> int:
        """P."""
        return int(self.packing.lengths.sum())


def _bias(segments: torch.Tensor) -> torch.Tensor:
    """(B, T) numbers, 0 for the prompt's and -1 for padding, to what is added to attention scores (B, 1, T, T)."""
    asks, asked = segments[:, :, None], segments[:, None, :]
    sees = ((asked == 0) | (asked == asks)) & (asked >= 0) & torch.ones(asks.shape[1], asks.shape[1]).tril().bool()
    return torch.zeros(sees.shape).masked_fill(~sees, MASKED)[:, None]


def grouped(samples: Sequence[TextSample], random: np.random.Generator | None, most: int = SHARED) -> list[Group]:
    """All samples, those with the same prompt together, at most `most` in a group; in random order, if any."""
    order = range(len(samples)) if random is None else random.permutation(len(samples)).tolist()
    waiting: dict[tuple[int, ...], list[TextSample]] = {}
    groups = []
    for i in order:
        together = waiting.setdefault(samples[i].prompt, [])
        together.append(samples[i])
        if len(together) == most:
            groups.append(_group(waiting.pop(samples[i].prompt)))
    groups += [_group(together) for together in waiting.values()]
    return groups if random is None else [groups[i] for i in random.permutation(len(groups))]


def _group(samples: Sequence[TextSample]) -> Group:
    return Group(samples[0].prompt, tuple(one.answer for one in samples), tuple(one.weight for one in samples))


def steps_of(groups: Sequence[Group], answers: int, random: np.random.Generator) -> list[list[Group]]:
    """Groups in steps of about so many answers, of similar length within a step."""
    per_group = max(1.0, sum(len(group.answers) for group in groups) / max(1, len(groups)))
    size = max(1, round(answers / per_group))
    ordered = [
        group
        for start in range(0, len(groups), size * WINDOW)
        for group in sorted(groups[start : start + size * WINDOW], key=lambda group: group.tokens)
    ]
    steps = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [steps[i] for i in random.permutation(len(steps))]


def portions(groups: Sequence[Group], tokens: int) -> Iterator[list[Group]]:
    """The groups in portions of at most `tokens`, padding included; a longer group is a portion of its own."""
    portion: list[Group] = []
    for group in sorted(groups, key=lambda group: group.tokens):
        if portion and group.tokens * (len(portion) + 1) > tokens:
            yield portion
            portion = []
        portion.append(group)
    if portion:
        yield portion
