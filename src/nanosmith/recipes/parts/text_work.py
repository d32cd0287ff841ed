"""What `tune_decoder` is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nanosmith.core.settings import Method
from nanosmith.core.watch import Watch
from nanosmith.recipes.parts.decoder_batches import TextSample
from nanosmith.recipes.work import Keeper

if TYPE_CHECKING:
    from nanosmith.recipes.parts.decoder import Decoder


class TextWork(msgspec.Struct, frozen=True):
    """As `Work`, for texts. With the method `dpo` samples come in pairs: the preferred answer, then the other one."""

    method: Method
    train: Sequence[TextSample]
    tune: Sequence[TextSample]
    base: Decoder
    seed: int
    watch: Watch
    options: Mapping[str, Any] = {}
    limit_s: float | None = None
    checkpoint: Callable[[int, dict[str, float], Any], None] | None = None
    keeper: Keeper | None = None
