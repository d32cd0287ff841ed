"""A decoder's tokenizer and chat template: from messages and an answer to the ids that it is trained on.

Prompts are rendered by the runtime's own sandboxed renderer, so that training and serving see the same ids; the golden
test, made with transformers' renderer, holds both to what the base's makers meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.predict.decoder import GoldenCase
from nanosmith.predict.text.chat_template import ChatTemplate
from nanosmith.predict.text.vocabulary import Vocabulary
from nanosmith.recipes.parts.decoder_batches import TextSample

PLAIN = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
"""For a base without a template: one line per turn, the assistant's ended by the end token."""
GOLDEN = (
    Message("user", "What does it cost in 2025 – 12,50 €?"),
    Message("assistant", "Nothing."),
    Message("user", "  Thanks!\nAnd <b>tomorrow</b>? "),
)
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


class Chat:
    """Of a folder of transformers. `template` is its Jinja text, `special` the special tokens that it may name,
    `ends` the ids that end an answer, the first of them the one that is learnt. Raises InputError."""

    def __init__(self, folder: Path) -> None:
        self.vocabulary = Vocabulary(folder / "tokenizer.json")
        said = _read(folder / "tokenizer_config.json")
        self.special = {name: _text(said[name]) for name in SPECIAL if said.get(name)}
        own = _template(folder, said)
        self.has_own_template = own is not None
        self.ends = tuple(dict.fromkeys(self._ends(folder)))
        if not self.ends:
            raise InputError("the base does not say which token ends an answer", where=str(folder),
                             remedy="Give tokenizer_config.json an eos_token.", param="base")  # fmt: skip
        self.special.setdefault("bos_token", "")
        self.special.setdefault("eos_token", str(self.vocabulary.tokenizer.id_to_token(self.ends[0])))
        self.template = own or PLAIN
        self._renderer = ChatTemplate(self.template, self.special, where=str(folder))
        self._prompt = lru_cache(maxsize=4_096)(self._renderer.render)

    def prompt(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """Ids up to where the assistant's answer begins."""
        return tuple(self.vocabulary.ids(self._prompt(messages)))

    def answer(self, messages: tuple[Message, ...], text: str) -> tuple[int, ...]:
        """Ids of the answer as the template writes it, up to the token that ends it."""
        prompt, whole = self._prompt(messages), self._renderer.render(messages, answer=text)
        written = self.vocabulary.ids(whole[len(prompt) :] if whole.startswith(prompt) else text)
        end = next((place for place, token in enumerate(written) if token in self.ends), None)
        return (*written, self.ends[0]) if end is None else tuple(written[: end + 1])

    def golden(self) -> list[GoldenCase]:
        """What transformers makes of some messages."""
        from transformers.utils.chat_template_utils import render_jinja_template

        turns = [{"role": turn.role, "content": turn.content} for turn in GOLDEN]
        texts, _ = render_jinja_template([turns], chat_template=self.template, add_generation_prompt=True,
                                         **self.special)  # fmt: skip
        return [GoldenCase(GOLDEN, texts[0], tuple(self.vocabulary.ids(texts[0])))]

    def _ends(self, folder: Path) -> Iterator[int]:
        eos = self.vocabulary.tokenizer.token_to_id(self.special.get("eos_token", ""))
        if eos is not None:
            yield int(eos)
        for name in ("generation_config.json", "config.json"):
            found = _read(folder / name).get("eos_token_id")
            yield from [found] if isinstance(found, int) else found or []


def sample_of(chat: Chat, messages: tuple[Message, ...], answer: str, weight: float, most: int) -> TextSample:
    """At most `most` tokens: of a long prompt the beginning is cut, of a long answer the end."""
    prompt, written = chat.prompt(messages), chat.answer(messages, answer)
    written = written[: max(most // 2, most - len(prompt))]
    return TextSample(prompt[-max(1, most - len(written)) :], written, weight)


def passages(chat: Chat, texts: Sequence[str], size: int) -> list[TextSample]:
    """Plain texts, one after the other with an end token between them, in passages of `size` tokens, to be learnt
    whole."""
    end = chat.ends[0]
    ids = [token for text in texts for token in (*chat.vocabulary.ids(text), end)]
    return [TextSample((end,), tuple(ids[start : start + size])) for start in range(0, len(ids), size)]


def _template(folder: Path, said: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = said.get("chat_template")
    if isinstance(found, list):  # several, by name
        return next((str(one["template"]) for one in found if one.get("name") == "default"), None)
    return found or None


def _text(token: Any) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found
