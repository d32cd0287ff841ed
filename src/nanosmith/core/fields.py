"""Types of fields that several requests have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from nanosmith.core.limits import MAX_METADATA_PAIRS

WITHOUT_NUL = r"^[^\x00]*\Z"
"""A pattern: PostgreSQL has no texts with NUL."""
Key: TypeAlias = Annotated[str, Meta(max_length=64, pattern=WITHOUT_NUL)]
Text512: TypeAlias = Annotated[str, Meta(max_length=512, pattern=WITHOUT_NUL)]
Metadata: TypeAlias = Annotated[dict[Key, Text512], Meta(max_length=MAX_METADATA_PAIRS)] | None
