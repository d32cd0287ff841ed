"""Queries that ask two or three things at once, made from queries that ask one.

Systems for several intents that are trained on a few fixed connectives fail on others (Yoon et al. 2024, "BlendX:
Complex Multi-Intent Detection with Blended Patterns"). So the connectives here are many, often there is none, words
that both queries share are said once, and case and punctuation at the seam change as people change them.

Letters: N examples, L labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanosmith.data.augment.patterns import TRAINED, Pattern, Patterns


class Mix(NamedTuple):
    """Shares of what is made: of two queries, of three; the rest stays single."""

    pairs: float = 0.4
    triples: float = 0.1


class Said(NamedTuple):
    """A text, and the characters [start, end) of each of its parts."""

    text: str
    spans: tuple[tuple[int, int], ...]


class Joined(NamedTuple):
    """Texts (N), memberships (N, L) and weights (N); of each text the examples that are its parts, and where they
    are."""

    texts: list[str]
    targets: NDArray[np.bool_]
    weights: NDArray[np.float32]
    parts: list[list[int]]
    spans: list[tuple[tuple[int, int], ...]]


TRAINING_MIX = Mix()
SAME_LABEL = 0.1  # of the joins; the answer then is one label
NO_CONNECTIVE, SIGN, FRAME, USUAL_SHARE = 0.2, 0.18, 0.08, 0.2  # of the joins; the others have any word
ELLIPSIS = 0.4  # of the joins where something can be left out
LEAD = 0.1  # of the single queries: they begin with a connective or stand in a frame, and still have one label
DRAWS = 8  # of another example; with few labels none may have another label
UNCHANGED = 0.2  # of the joins: the seam's case and punctuation stay
REQUEST = re.compile(
    r"(?:(?:hey|hi|hello|ok|okay|please|so|also|well)[ ,]+)*"
    r"(?:(?:can|could|would|will) (?:you|i|we) (?:please )?|i(?: would|['’ ]?d)? (?:want|need|like|have)(?: you)? to "
    r"|i(?:['’]m| am) (?:trying|looking|hoping) to |(?:please|kindly|let's|lets|help me|let me) )",
    re.IGNORECASE,
)
"""The opening of a request, which is not said again before the second one: "can you …, and …"."""
TURN = re.compile(r"(user: )(.*?)((?:\n(?:user|assistant|tool|function|system|developer): .*)?)", re.DOTALL)
"""A conversation as an encoder reads it: the newest turn, and what was said before."""
ENDS = ".!?,;: "


def joined(
    texts: Sequence[str],
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    random: np.random.Generator,
    *,
    mix: Mix = TRAINING_MIX,
    patterns: Patterns = TRAINED,
) -> Joined:
    """As many texts as given, in another order: each example once, alone or as one part of a joined text.

    targets (N, L) memberships, weights (N). The other parts are drawn at random, most of them with other labels; a
    joined text has the labels of all its parts and the smallest of their weights. Fewer than two examples are returned
    as they are.
    """
    members = np.asarray(targets, dtype=np.bool_)
    if len(texts) < 2:
        return Joined(list(texts), members, weights, [[i] for i in range(len(texts))], [_alone(t).spans for t in texts])
    order = random.permutation(len(texts))
    sizes = random.choice([1, 2, 3], len(texts), p=[1 - mix.pairs - mix.triples, *mix])
    rows = [_parts(int(one), int(size), members, random) for one, size in zip(order, sizes)]
    made = [_said([texts[i] for i in parts], patterns, random) for parts in rows]
    return Joined(
        [said.text for said in made],
        np.stack([members[parts].any(axis=0) for parts in rows]),
        np.array([weights[parts].min() for parts in rows], dtype=np.float32),
        rows,
        [said.spans for said in made],
    )


def _parts(one: int, size: int, members: NDArray[np.bool_], random: np.random.Generator) -> list[int]:
    """`size` different examples with `one` at a random place; most add a label."""
    parts = [one]
    while len(parts) < min(size, len(members)):
        wants_other = random.random() >= SAME_LABEL
        labels = members[parts].any(axis=0)
        drawn = [i for i in random.integers(len(members), size=DRAWS).tolist() if i not in parts]
        others = [i for i in drawn if not (wants_other and (members[i] & labels).any())]
        parts += (others or drawn)[:1]
    random.shuffle(parts)
    return parts


def _said(texts: list[str], patterns: Patterns, random: np.random.Generator) -> Said:
    """One text that says all of these, one after another."""
    whole = _alone(texts[0])
    if len(texts) == 1 and random.random() < LEAD:
        return _led(texts[0], patterns, random)
    for following in texts[1:]:
        whole = join(whole, following, patterns, random)
    return whole


def _alone(text: str) -> Said:
    """A text of one part: all of its newest turn."""
    role, newest, _ = _turn(text)
    return Said(text, ((len(role), len(role) + len(newest)),))


def join(whole: Said, second: str, patterns: Patterns, random: np.random.Generator) -> Said:
    """What is said so far and another query. Of conversations the newest turns are joined, and the first one's earlier
    turns stay."""
    role, first, earlier = _turn(whole.text)
    second = _turn(second)[1]
    pattern = _pattern(patterns, random)
    if random.random() < ELLIPSIS:
        second = without_shared(first, second)
    if random.random() >= UNCHANGED:
        first, second = _seam(first, pattern.between, second)
    start, last = len(pattern.before), len(role) + len(pattern.before) + len(first)
    spans = [(begin + start, min(end + start, last)) for begin, end in whole.spans]
    spans.append((last + len(pattern.between), last + len(pattern.between) + len(second)))
    return Said(f"{role}{pattern.before}{first}{pattern.between}{second}{pattern.after}{earlier}", tuple(spans))


def _led(text: str, patterns: Patterns, random: np.random.Generator) -> Said:
    """A single query as a person goes on with: "also, …", "… please"."""
    role, text, earlier = _turn(text)
    pattern = _one(patterns.words + patterns.frames, random)
    before = pattern.before or pattern.between.lstrip(ENDS)
    start = len(role) + len(before)
    return Said(f"{role}{before}{text}{pattern.after}{earlier}", ((start, start + len(text)),))


def _turn(text: str) -> tuple[str, str, str]:
    """Role prefix, newest turn and earlier turns."""
    found = TURN.fullmatch(text) if text.startswith("user: ") else None
    return (found[1], found[2], found[3]) if found else ("", text, "")


def _pattern(patterns: Patterns, random: np.random.Generator) -> Pattern:
    kind = random.random()
    for share, group in ((NO_CONNECTIVE, (Pattern(" "),)), (SIGN, patterns.signs), (FRAME, patterns.frames)):
        if kind < share and group:
            return _one(group, random)
        kind -= share
    return _one(patterns.usual if patterns.usual and kind < USUAL_SHARE else patterns.words, random)


def _one(group: tuple[Pattern, ...], random: np.random.Generator) -> Pattern:
    return group[int(random.integers(len(group)))]


def without_shared(first: str, second: str) -> str:
    """The second query without the opening that need not be said again, where at least two words are left."""
    opening = REQUEST.match(second)
    if opening:
        return _rest(second, second[opening.end() :])
    ours, theirs = second.split(), first.casefold().split()
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a.casefold() != b), min(len(ours), len(theirs)))
    return _rest(second, " ".join(ours[same:])) if same else second


def _rest(whole: str, rest: str) -> str:
    return rest if len(rest.split()) >= 2 else whole


def _seam(first: str, between: str, second: str) -> tuple[str, str]:
    """Case and punctuation as they are written at this seam: a new sentence begins with a capital where the first query
    begins with one; within a sentence the first query has no end and the second no capital."""
    sign = between.lstrip()[:1]
    if sign in ".?!\n" and sign:  # the end of a sentence
        kept = first if first.endswith(("?", "!")) and sign == "\n" else first.rstrip(ENDS)
        return kept, _capital(second) if first[:1].isupper() and between.strip(ENDS) == "" else _small(second)
    return first.rstrip(ENDS), _small(second)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    """With a small first letter, unless the first word is "I" or written in capitals."""
    word = text.split(maxsplit=1)[0] if text.split() else ""
    keeps = word in ("I", "I'm", "I'd", "I've", "I'll") or (len(word) > 1 and not word[1:].islower())
    return text if keeps else text[:1].lower() + text[1:]
