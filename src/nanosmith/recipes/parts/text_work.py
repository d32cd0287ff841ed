"""What `tune_decoder` is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nanosmith.core.settings import Method
from nanosmith.recipes.parts.decoder_batches import TextSample
from nanosmith.recipes.work import AnyWork

if TYPE_CHECKING:
    from nanosmith.recipes.parts.decoder import Decoder


class TextWork(AnyWork, frozen=True, kw_only=True):
    """As `Work`, for texts. With the method `dpo` samples come in pairs: the preferred answer, then the other one."""

    method: Method
    train: Sequence[TextSample]
    tune: Sequence[TextSample]
    base: Decoder
