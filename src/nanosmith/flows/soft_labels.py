"""What a teacher says to the training texts and to misspelled copies of them: what students learn from.

Letters: N texts, C copies of each, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.prediction import Predictor
from nanosmith.core.watch import Watch
from nanosmith.data.augment.noise import NOISY, noisy
from nanosmith.predict.local import LocalPredictor, sigmoid, softmax

if TYPE_CHECKING:
    from nanosmith.recipes.work import Samples

ASKED = 30_000  # texts in all, if there are not more without copies
COPIES = 2


class SoftLabels(msgspec.Struct, frozen=True):
    """`texts` (1 + C, N), as they are and misspelled, and for each a teacher's probabilities, `soft` (1 + C, N, L), and
    its `vectors` (1 + C, N, D), where there is one teacher alone."""

    texts: list[list[str]]
    soft: NDArray[np.float32]
    vectors: NDArray[np.float32] | None = None

    def plain(self, samples: Samples) -> Samples:
        """These samples (N) with what the teacher says to them."""
        vectors = None if self.vectors is None else self.vectors[0]
        return msgspec.structs.replace(samples, soft=self.soft[0], vectors=vectors)

    def augment(self, samples: Samples, random: np.random.Generator) -> Samples:
        """What one pass over the samples (N) learns: of most texts a copy, of the others the text itself."""
        size, copies = len(samples), len(self.texts) - 1
        if not copies:
            return samples
        which = np.where(random.random(size) < NOISY, random.integers(1, copies + 1, size), 0)
        texts = [self.texts[copy][row] for row, copy in enumerate(which)]
        places = which, np.arange(size)
        vectors = None if self.vectors is None else self.vectors[places]
        return msgspec.structs.replace(samples, texts=texts, soft=self.soft[places], vectors=vectors)


def copies_of(texts: Sequence[str], seed: int) -> list[list[str]]:
    """The texts (N), and as many misspelled copies of all of them as are affordable (1 + C, N)."""
    count = max(0, min(COPIES, ASKED // max(1, len(texts)) - 1))
    return [list(texts), *(noisy(texts, np.random.default_rng((seed, copy)), 1.0) for copy in range(count))]


def asked(teacher: Predictor, texts: Sequence[str], watch: Watch) -> NDArray[np.float32]:
    """The teacher's probabilities by the labels of its task, and after them its vector, of each text (N, L + D); D is 0
    unless it is one local model with embeddings. Raises Cancelled."""
    rows = []
    every = max(1, len(texts) // 200)
    for done, text in enumerate(texts, start=1):
        if isinstance(teacher, LocalPredictor) and teacher.width:
            rows.append(_both(teacher, text))
        else:
            rows.append(np.array(teacher.predict([text])[0].probabilities, dtype=np.float32))
        if done % every == 0 or done == len(texts):
            watch.check()
            watch.progress("ask the teacher for probabilities", done, len(texts))
    return np.stack(rows)


def _both(teacher: LocalPredictor, text: str) -> NDArray[np.float32]:
    """Probabilities and vector (L + D) from one reading of the text."""
    ids, _ = teacher.token_ids(teacher.task.text_of(text))
    logits, vector = teacher.both(ids)
    squash = softmax if teacher.task.kind == "choice" else sigmoid
    temperature = teacher.bundle.manifest.calibration.temperature
    return np.concatenate([squash(logits.tolist(), temperature), vector]).astype(np.float32)
