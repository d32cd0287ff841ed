"""A tokenizer's ids as bytes, so that a text can grow token by token without cutting a character."""

from __future__ import annotations

import codecs
import re
from functools import cache
from pathlib import Path
from typing import TypeAlias

import msgspec
from tokenizers import Tokenizer

from nanosmith.core.errors import Damaged

Raw: TypeAlias = bytes
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
REMEDY = "Copy the bundle again from its source, or tune it again."


class Vocabulary:
    """Ids of a text, and the bytes of an id. `size` counts the ids that the tokenizer knows."""

    def __init__(self, file: Path) -> None:
        try:
            self.source = file.read_text(encoding="utf-8")
            self.tokenizer = Tokenizer.from_str(self.source)
            form = msgspec.json.decode(self.source)
        except Exception as error:  # tokenizers raises plain Exception
            raise Damaged(f"the tokenizer cannot be read: {error}", where=str(file), remedy=REMEDY) from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        self.special = {token["id"] for token in form.get("added_tokens") or [] if token.get("special")}
        self._verbatim = {token["id"] for token in form.get("added_tokens") or []}
        self._is_byte_level = '"ByteLevel"' in msgspec.json.encode(form.get("decoder")).decode()
        self._bytes: dict[int, Raw] = {}

    def ids(self, text: str) -> list[int]:
        """Without special tokens but those that the text spells."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def bytes(self, token: int) -> Raw:
        """Of a written token; a special one is no text."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = b"" if token in self.special else self.raw(token)
        return known

    def raw(self, token: int) -> Raw:
        """The same, a special token's name included."""
        piece = self.tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if token in self._verbatim:
            return str(piece).encode()
        if self._is_byte_level:
            table = byte_of()
            return bytes(table[char] for char in piece if char in table)
        if match := BYTE_TOKEN.fullmatch(piece):
            return bytes([int(match[1], 16)])
        return str(piece).replace("\u2581", " ").encode()


class Growing:
    """Bytes in, whole characters out; bytes that are no UTF-8 become U+FFFD, an unfinished character waits."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> str:
        return self._decoder.decode(piece)


@cache
def byte_of() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (Radford et al. 2019, GPT-2): printable
    Latin-1 stands for itself, the others follow from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
