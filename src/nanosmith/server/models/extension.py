"""The field `nanosmith` of a request: what OpenAI's API has no field for."""

from __future__ import annotations

import msgspec


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`explain`: tell which words carried the answer. `fields`: tell of each field of a record how likely it is right,
    and where it stands in the text."""

    explain: bool = False
    fields: bool = False
