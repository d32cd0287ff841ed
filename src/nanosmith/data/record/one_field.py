"""JSON answers of one field: are its values labels, or copies of the text?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nanosmith.core.example import Example
from nanosmith.data.record.columns import Column, Unlike
from nanosmith.data.record.decide import decide
from nanosmith.data.record.locate import Text


def is_copied(examples: Sequence[Example], field: str) -> bool:
    """Whether the values of the field are copies, by the rules for records; answers of another form are passed over."""
    values, texts = [], []
    for example in examples:
        try:
            answer = msgspec.json.decode(example.answer)
        except msgspec.DecodeError:
            continue
        if isinstance(answer, dict) and field in answer:
            values.append(answer[field])
            texts.append(Text("\n".join(message.content for message in example.messages)))
    try:
        return decide(Column((field,), values), texts).field.type in ("span", "spans")
    except Unlike:
        return False
