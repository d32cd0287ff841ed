"""Settings of a tuning run, and the parsing of durations."""

from __future__ import annotations

import math
import re
from typing import Literal, TypeAlias

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.task import Kind

Size: TypeAlias = Literal["auto", "pico", "nano", "mini"]
LabelErrors: TypeAlias = Literal["keep", "drop", "downweight"]
Method: TypeAlias = Literal["supervised", "dpo", "domain"]
UNITS_S = {"us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class TuneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user may say about a tuning run; None or "auto" means: derive it, print it, store it.

    `budget_s` bounds the whole run in seconds (None: no bound). `recipe` names one recipe instead of choosing.
    `epochs`, `batch_size` and `learning_rate_multiplier` are OpenAI's hyperparameters.

    `combined`: the examples have one label each, and the model shall also recognise queries that join two or three of
    them; its task is `labels`. `noise`: train on misspelled copies too (None: where that costs no clean accuracy).
    `oos_label`: examples with this label are examples of "none of the others". `refuse`: the share of in-scope queries,
    in (0, 1), that may be taken for out of scope. `label_errors`: what to do with examples whose label is likely wrong.

    `method` is how texts are learnt (None: as the file's form says): from answers, from preferences (dpo, whose `beta`
    holds it to the base), or from plain text of a domain. `general`: a file of other texts' examples that are mixed in,
    so that the decoder forgets less.

    `schema` is a file with the JSON schema of the answers, which then are records.

    `base` may also be an earlier model's name or folder, to go on from it; `replay` is then a file of the examples that
    it was made from (None: those that were kept in the data folder). `keep_examples`: keep this run's there.
    """

    size: Size = "auto"
    budget_s: float | None = None
    seed: int = 0
    recipe: str | None = None
    base: str = "minilm-l6"
    kind: Kind | None = None
    name: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    combined: bool = False
    noise: bool | None = None
    oos_label: str | None = None
    refuse: float = 0.05
    label_errors: LabelErrors = "keep"
    replay: str | None = None
    keep_examples: bool = True
    schema: str | None = None
    method: Method | None = None
    beta: float | None = None
    general: str | None = None


def parse_duration(text: str, option: str = "--budget", example: str = "5m") -> float:
    """Seconds in "50us", "800ms", "90s", "5m", "1.5h" or a plain number of seconds. Raises InputError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|[smh]?)\s*", text)
    seconds = float(match[1]) * UNITS_S[match[2] or "s"] if match else 0.0
    if not 0 < seconds < math.inf:
        raise InputError(
            "not a duration", got=repr(text), allowed="a number with us, ms, s, m or h, above zero",
            remedy=f"Try {option} {example}.",
        )  # fmt: skip
    return seconds
