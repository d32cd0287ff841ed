"""Is a collection of strings drawn from a small closed set? The question behind task recognition.

The chance that the next answer is a new string is estimated by the share of answers that were seen once (Good 1953,
"The population frequencies of species"). A closed set has few of those; free text consists of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NEW_SHARE = 0.2  # share of answers seen once, up to which a set is closed
NEW_SHARE_FEW = 0.5  # the same for few answers that look like labels
FEW = 100
SENTENCES_ONCE = 0.5  # share of different answers that may be seen once, where they do not look like labels
LABEL_CHARS = 60
LABEL_WORDS = 6
LABEL_LIKE_SHARE = 0.9
SENTENCE_ENDS = tuple(".!?…。！？")


def is_closed(counts: Mapping[str, int]) -> bool:
    """Whether the strings (with how often each occurs) are a closed set.

    Up to 20 % may occur once; up to 50 % where there are fewer than 100 and they look like labels. Sentences may be
    labels too (canned replies), then at most half of the different ones may occur once.
    """
    total = sum(counts.values())
    once = sum(1 for count in counts.values() if count == 1)
    if look_like_labels(counts):
        return once <= (NEW_SHARE_FEW if total < FEW else NEW_SHARE) * total
    return once <= NEW_SHARE * total and once <= SENTENCES_ONCE * len(counts)


def look_like_labels(strings: Iterable[str]) -> bool:
    """Whether nearly all are short, on one line and without the end of a sentence."""
    like = [_is_label_like(string) for string in strings]
    return sum(like) >= LABEL_LIKE_SHARE * len(like)


def _is_label_like(string: str) -> bool:
    return (
        len(string) <= LABEL_CHARS
        and "\n" not in string
        and not string.endswith(SENTENCE_ENDS)
        and len(string.split()) <= LABEL_WORDS
    )
