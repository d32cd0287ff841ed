"""How people put two queries into one: what stands before, between and behind them (English).

A `between` that begins with a sign of punctuation replaces the one at the end of the query before it. The patterns are
in three groups: those for training, those that only calibrate (so that thresholds are set on joins which the training
did not show), and whatever a test brings along, which should be in neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

COMMON = 300  # words that random connectives are made of
RANDOM_WORDS = 100  # connectives
LONGEST_RANDOM = 4  # words
BEFORE_RANDOM, AFTER_RANDOM = (" ", " ", ", ", ". ", "; ", " - "), (" ", " ", ", ", ": ")


class Pattern(NamedTuple):
    """`before` + first query + `between` + second query + `after`."""

    between: str
    before: str = ""
    after: str = ""


class Patterns(NamedTuple):
    """One group: `words` join with words, `signs` with punctuation or a line break; no connective is always possible.
    `frames` are said around both queries. `usual` is what most people write, and comes more often than the rest."""

    words: tuple[Pattern, ...]
    signs: tuple[Pattern, ...]
    frames: tuple[Pattern, ...] = ()
    usual: tuple[Pattern, ...] = ()


_TRAINED_WORDS = (
    " and ", ", and ", " and then ", ", and then ", ", then ", " then ", " and also ", ", and also ", " also ",
    ", also ", ". also, ", " plus ", ", plus ", " after that ", ", after that ", " and after that ", " as well as ",
    " by the way ", ". by the way, ", ", oh and ", "; oh and ", ". oh and ", " oh and ", " and another thing ",
    ". one more thing: ", ". and ", ". then ", ". can you also ", " and can you also ", " and please ",
    ", please also ", " but first ", ", but before that ", " & ", " along with ", ". i also want to ask: ",
    " and maybe ", " and now ", ". now ", ". ok, ", " and finally ", ", next ", " or ", " but also ", ", but also ",
    ". and secondly, ", " and at the same time ", " and could you ", ", and while at it ", ". oh, ", " so ", " btw ",
    ", btw ", " and, ",
)  # fmt: skip
_TRAINED_SIGNS = (". ", ", ", "; ", "? ", "! ", "\n", " - ", " / ", "... ", " + ", ": ", " | ", " (1) ")
_TRAINED_FRAMES = (
    Pattern("; ", "two things: "), Pattern(" and second ", "first "), Pattern(", then ", "first "),
    Pattern(", ", "once you are done with this: "), Pattern(" and ", "", " please"), Pattern(" and ", "hi, "),
    Pattern(" and ", "", " as well"), Pattern(", ", "", " too"), Pattern("\n2. ", "1. "), Pattern("\n- ", "- "),
    Pattern(", ", "after you "), Pattern(", ", "before you "), Pattern(" and also ", "i have two questions, "),
    Pattern(" and ", "", ", thanks"), Pattern(" and ", "ok so "), Pattern(" and ", "hey ", " thank you"),
    Pattern(" and ", "both "), Pattern(" and ", "i need help with this: "),
)  # fmt: skip
_UNTRAINED_WORDS = (
    " and besides that ", ". next up, ", ", followed by ", " and in addition ", ". another question: ",
    " and afterwards ", ", and when you get a chance ", ". while you are at it, ", " and once that is finished ",
    ". and lastly, ", " and i was also wondering ", ", also i need this: ", " alongside ", ". oh wait, ",
    " and something else, ",
)  # fmt: skip
_UNTRAINED_SIGNS = (" -- ", " … ", " ; ", "\n\n", " , ", " . ")
_UNTRAINED_FRAMES = (
    Pattern(", then ", "start with this: "), Pattern(" and ", "can you help me? "), Pattern("; b) ", "a) "),
    Pattern(", and ", "", " when you can"),
)  # fmt: skip


def _plain(betweens: tuple[str, ...]) -> tuple[Pattern, ...]:
    return tuple(map(Pattern, betweens))


_USUAL = (" and ", ", and ", " and then ", " and also ", ", ", ". ")
TRAINED = Patterns(_plain(_TRAINED_WORDS), _plain(_TRAINED_SIGNS), _TRAINED_FRAMES, _plain(_USUAL))
UNTRAINED = Patterns(_plain(_UNTRAINED_WORDS), _plain(_UNTRAINED_SIGNS), _UNTRAINED_FRAMES)


def with_random_words(patterns: Patterns, texts: Iterable[str], random: np.random.Generator) -> Patterns:
    """The same and RANDOM_WORDS connectives and frames of words that are frequent in `texts`, in any order: so that a
    model learns to leave out what stands between queries, and no list of connectives."""
    counts = Counter(word for text in texts for word in text.split())
    common = [word for word, _ in counts.most_common(COMMON)]
    if not common:
        return patterns
    made = [_random(common, patterns, random) for _ in range(RANDOM_WORDS)]
    return patterns._replace(
        words=patterns.words + tuple(one for one in made if not (one.before or one.after)),
        frames=patterns.frames + tuple(one for one in made if one.before or one.after),
    )


def _random(common: list[str], patterns: Patterns, random: np.random.Generator) -> Pattern:
    words = " ".join(random.choice(common, int(random.integers(1, LONGEST_RANDOM + 1))))
    before, after = (str(random.choice(signs)) for signs in (BEFORE_RANDOM, AFTER_RANDOM))
    other = patterns.words[int(random.integers(len(patterns.words)))].between
    place = random.random()
    if place < 0.75:
        return Pattern(f"{before}{words}{after}")
    return Pattern(other, f"{words}{after}") if place < 0.9 else Pattern(other, "", f" {words}")
