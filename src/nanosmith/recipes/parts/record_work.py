"""What `tune_record` is given."""

from __future__ import annotations

from tokenizers import Tokenizer

from nanosmith.core.record import RecordForm
from nanosmith.predict.record_layout import Layout
from nanosmith.predict.record_reader import Reader
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.encoder_model import plain_tokenizer
from nanosmith.recipes.parts.record_rows import RecordSamples
from nanosmith.recipes.work import AnyWork


class RecordWork(AnyWork, frozen=True, kw_only=True):
    """As `Work`, for the fields of records."""

    form: RecordForm
    layout: Layout
    train: RecordSamples
    tune: RecordSamples
    base: Base

    def plain_tokenizer(self) -> Tokenizer:
        plain: Tokenizer = plain_tokenizer(self.base)
        return plain

    def reader(self) -> Reader:
        return Reader(self.plain_tokenizer(), self.layout)
