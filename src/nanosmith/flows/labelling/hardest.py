"""Which inputs a student learns most from: those it is least sure of, each text once, spread over its classes."""

from __future__ import annotations

from collections.abc import Sequence

from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.watch import Watch
from nanosmith.data.normal import normalise
from nanosmith.flows.labelling.teachers import Turns


def hardest(student: Predictor, inputs: Sequence[Turns], most: int, watch: Watch) -> list[int]:
    """Positions of at most `most` inputs, in their order. Raises Cancelled.

    Classes are what the student answers; each in turn gives the input with the smallest margin between its two best
    labels (Scheffer et al. 2001, "Active Hidden Markov Models"), or with the lowest confidence.
    """
    first = {normalise(student.task.text_of(turns)): i for i, turns in reversed(list(enumerate(inputs)))}
    sure: dict[int, float] = {}
    by_class: dict[object, list[int]] = {}
    for done, i in enumerate(sorted(first.values()), start=1):
        watch.check()
        answer = student.predict([inputs[i]])[0]
        sure[i] = margin(answer)
        by_class.setdefault(answer.value if student.task.labels else None, []).append(i)
        watch.progress("looking for hard ones", done, len(first))
    ranked = [sorted(members, key=sure.__getitem__) for members in by_class.values()]
    places = [(depth, sure[i], i) for members in ranked for depth, i in enumerate(members)]
    return sorted(i for _, _, i in sorted(places)[:most])


def margin(answer: Prediction) -> float:
    """The margin between the two best labels, or the confidence; 0 where there is neither."""
    if len(answer.probabilities) > 1 and isinstance(answer.value, str):
        (_, best), (_, second) = answer.top(2)
        return best - second
    return answer.confidence or 0.0
