from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.recipes.parts.chat import Chat, sample_of
from nanosmith.testing.tiny_decoder import save_tiny_decoder

ASKED = (Message("system", "Be short."), Message("user", "Why?"))


def test_an_answer_begins_where_the_prompt_ends(tmp_path: Path) -> None:
    """Prompt and answer together are the conversation as the template writes it, up to the token that ends it."""
    chat = Chat(save_tiny_decoder(tmp_path / "base"))
    ids = [*chat.prompt(ASKED), *chat.answer(ASKED, "Because.")]
    whole = chat.vocabulary.tokenizer.decode(ids, skip_special_tokens=False)
    assert whole == ("<|turn|>system\nBe short.<|end|>\n<|turn|>user\nWhy?<|end|>\n<|turn|>assistant\nBecause.<|end|>")


def test_a_base_without_a_template_gets_a_plain_one(tmp_path: Path) -> None:
    """One line per turn, the answer ended by the end token."""
    chat = Chat(save_tiny_decoder(tmp_path / "base", template=None))
    assert not chat.has_own_template
    ids = [*chat.prompt(ASKED), *chat.answer(ASKED, "Because.")]
    whole = chat.vocabulary.tokenizer.decode(ids, skip_special_tokens=False)
    assert whole == "<|turn|>system: Be short.\nuser: Why?\nassistant: Because.<|end|>"


def test_golden_cases_are_what_transformers_writes(tmp_path: Path) -> None:
    """The runtime's renderer agrees with transformers' on the golden messages."""
    chat = Chat(save_tiny_decoder(tmp_path / "base"))
    case = chat.golden()[0]
    assert chat.prompt(case.messages) == case.ids
    assert case.prompt.endswith("<|turn|>assistant\n")


def test_long_examples_are_cut(tmp_path: Path) -> None:
    """A prompt loses its beginning, so that the question stays next to its answer; an answer loses its end."""
    chat = Chat(save_tiny_decoder(tmp_path / "base"))
    asked = (Message("user", "x" * 90 + "end"),)
    found = sample_of(chat, asked, "short", 1.0, 64)
    assert found.tokens == 64
    assert found.prompt == chat.prompt(asked)[-len(found.prompt) :]
    assert found.answer == chat.answer(asked, "short")
    long = sample_of(chat, asked, "y" * 200, 1.0, 64)
    assert (len(long.prompt), len(long.answer)) == (32, 32)


def test_templates_that_run_code_are_refused(tmp_path: Path) -> None:
    """A base whose template reaches for Python is refused when it is rendered."""
    template = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    chat = Chat(save_tiny_decoder(tmp_path / "base", template=template))
    with pytest.raises(InputError, match="template"):
        chat.prompt(ASKED)
