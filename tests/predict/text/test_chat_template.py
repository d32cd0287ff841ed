"""Chat templates: the same prompts as elsewhere, and nothing else."""

from __future__ import annotations

import time

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.predict.text.chat_template import ChatTemplate

TURNS = (Message("system", "Be brief."), Message("user", "Hi <b>"))
CHAT = (
    "{{- bos_token }}\n{% for message in messages %}\n  {%- if message.role == 'user' %}{% continue %}{% endif %}\n"
    "<{{ message['role'] | upper }}>{{ message.content.strip() | tojson }}\n{% endfor %}"
    "{% generation %}{% endgeneration %}{% if add_generation_prompt %}go{% endif %}"
)
HOSTILE = {
    "class": "{{ ''.__class__.__mro__ }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "attr": "{{ (messages | attr('__class__')).x.y }}",
    "format": "{{ '{0.__class__}'.format(messages) }}",
    "include": "{% include 'x' %}",
    "import": "{% import 'os' as os %}",
    "change": "{{ messages.append(1) }}",
    "endless": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "times": "{{ 'a' * 999999999 }}",
    "power": "{{ 9 ** 999999999 }}",
    "padded": "{{ 'a' | center(999999999) }}",
    "percent": "{{ '%999999999d' % 1 }}",
    "percent filter": "{{ '%999999999d' | format(1) }}",
    "star": "{{ '%*d' % (999999999, 1) }}",
    "method": "{{ 'a'.ljust(999999999) }}",
    "doubled": "{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "added": "{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "joined": "{{ range(99999) | map('string') | join('a' * 99999) }}",
    "replaced": "{{ ('a' * 9999) | replace('a', 'b' * 99999) }}",
    "syntax": "{% if %}",
    "undefined": "{{ nothing.at.all }}",
    "long output": "{% for i in range(9999) %}{{ 'a' * 9999 }}{% endfor %}",
}


def test_prompt() -> None:
    """Blocks are trimmed, loops may be left, JSON is written as it is, and special tokens can be named."""
    template = ChatTemplate(CHAT, {"bos_token": "<s>"})
    assert template.render(TURNS) == '<s>\n<SYSTEM>"Be brief."\ngo'
    assert template.render(TURNS, answer="Yes").endswith('<ASSISTANT>"Yes"\n')


def test_as_transformers() -> None:
    """transformers' own renderer makes the same prompt."""
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    turns = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    texts, _ = utils.render_jinja_template([turns], chat_template=CHAT, add_generation_prompt=True, bos_token="<s>")
    assert ChatTemplate(CHAT, {"bos_token": "<s>"}).render(TURNS) == texts[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_errors(name: str) -> None:
    """A template that tries to run code, or to take time or memory without end, is a clear error."""
    began = time.thread_time()
    with pytest.raises(InputError) as raised:
        ChatTemplate(HOSTILE[name], {}).render(TURNS)
    assert raised.value.code == "invalid_chat_template"
    assert time.thread_time() - began < 4


def test_refused_messages() -> None:
    """What a template says against the messages is an error of the request."""
    with pytest.raises(InputError, match="roles must alternate") as raised:
        ChatTemplate("{{ raise_exception('roles must alternate') }}", {}).render(TURNS)
    assert raised.value.param == "messages"
