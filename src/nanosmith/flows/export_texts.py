"""Texts that an exported model is tried on where nobody names any: made of a bundle's own words."""

from __future__ import annotations

import json
import random
import re

import msgspec

from nanosmith.core.example import Input
from nanosmith.data.label_names import text_of_name
from nanosmith.predict.decoder import GOLDEN_FILE, GoldenCase
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.tfidf import VOCABULARY_FILE
from nanosmith.store.bundles import Bundle

COUNT, LONGEST = 64, 40  # texts, and words of one
HARD = ("", " ", "?!", "naïve café 12.5 € 😀", "x" * 100, "A\tB\n\nC")
QUESTIONS = ("What is the capital of France?", "Say hello.", "Name three colours.")
WORD = re.compile(r"[a-z]{2,}")
SEED = 7


def sample_inputs(bundle: Bundle) -> list[Input]:
    """The names of labels, rows of words of the vocabulary, one that is longer than what is read, and some hard ones;
    always the same for a bundle. Of one that writes, the messages that it is checked with when it is opened, and some
    plain questions."""
    if GOLDEN_FILE in bundle.manifest.files:
        cases = msgspec.json.decode(bundle.file(GOLDEN_FILE).read_bytes(), type=list[GoldenCase])
        return [*(case.messages for case in cases), *QUESTIONS]
    words = _words(bundle)
    chosen = random.Random(SEED)  # noqa: S311
    names = [name for label in bundle.manifest.task.labels if (name := text_of_name(label))]
    rows = [" ".join(chosen.choices(words, k=1 + i % LONGEST)) for i in range(COUNT)]
    long = " ".join(chosen.choices(words, k=2 * bundle.manifest.max_tokens))
    return [*HARD, *names[:COUNT], *rows, long]


def _words(bundle: Bundle) -> list[str]:
    """Words of the bundle's vocabulary, in order."""
    if VOCABULARY_FILE in bundle.manifest.files:
        known = json.loads(bundle.file(VOCABULARY_FILE).read_text(encoding="utf-8"))["words"]
    else:
        model = json.loads(bundle.file(TOKENIZER_FILE).read_text(encoding="utf-8"))["model"]["vocab"]
        known = [row[0] for row in model] if isinstance(model, list) else list(model)
    return sorted({word for word in known if WORD.fullmatch(word)}) or ["a"]
