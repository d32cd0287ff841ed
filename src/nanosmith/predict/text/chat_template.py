"""Chat templates: a tokenizer's Jinja text that turns messages into a prompt, run where it can do nothing else.

A template is data of whoever made the base model, and Jinja is a language: CVE-2024-34359 ran code through one. Here it
runs in Jinja's immutable sandbox, without files and modules, for at most MAX_STEPS lines and MAX_CHARS characters; what
could make a large text at one stroke (multiplying, joining, replacing, padding) is bounded by the sizes of its parts.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, GeneratorType
from typing import Any

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.core.example import Message

try:
    import jinja2
    from jinja2 import nodes
    from jinja2.compiler import CodeGenerator
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    raise MissingExtra("jinja2", "text") from error

MAX_TEMPLATE_CHARS = 200_000
MAX_CHARS = 4_000_000
"""Of a prompt, and of any text on the way to it."""
MAX_PRODUCT = 100_000_000
"""Of the sizes of the two largest arguments of one call."""
MAX_STEPS = 2_000_000
MAX_S = 2.0
"""Of the processor's time."""
FORMATTING = ("format", "format_map")
WIDE = re.compile(r"\d{4}|\*")
REMEDY = "Give the base model a chat template that only writes its messages."


class _Raised(Exception):
    """The template refuses these messages."""


class _Generator(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's words for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        parser.stream.expect("name:generation")
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationTag])
        self.filters = {name: _bounded(filter) for name, filter in self.filters.items()}
        self.filters |= {"tojson": _bounded(_to_json), "format": _format}
        self.globals = {
            "range": self.globals["range"], "namespace": self.globals["namespace"], "dict": dict,
            "raise_exception": _raise, "strftime_now": time.strftime,
        }  # fmt: skip

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """No names that begin with an underscore, and nothing of functions, classes and modules."""
        plain = isinstance(obj, (str, list, tuple, dict)) or type(obj).__module__.startswith("jinja2")
        return (
            plain
            and attr not in FORMATTING
            and not attr.startswith("_")
            and super().is_safe_attribute(obj, attr, value)
        )

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        raise SecurityError(f"access to {attribute!r} of a {type(obj).__name__}")

    def wrap_str_format(self, value: Any) -> None:
        if getattr(value, "__name__", None) in FORMATTING and isinstance(getattr(value, "__self__", None), str):
            raise SecurityError("the formatting methods of texts")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        _check_size([left, right], added=operator == "+")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, *given: Any, **named: Any) -> Any:
        owner = getattr(function, "__self__", None)
        _check_size([owner, *given, *named.values()])
        return _checked(super().call(context, function, *given, **named))

    def joined(self, parts: tuple[Any, ...]) -> str:
        return str(_checked("".join(str(part) for part in parts)))


class ChatTemplate:
    """A prompt from messages. `special` are the texts of the special tokens that a template may name
    (`bos_token`, `eos_token`, …).

    Raises InputError for a template that cannot be read, does something that is not allowed, runs too long, or refuses
    the messages.
    """

    def __init__(self, source: str, special: Mapping[str, str], *, where: str = "chat template") -> None:
        self._where = where
        self._special = dict(special)
        if len(source) > MAX_TEMPLATE_CHARS:
            raise self._wrong("too long", f"{len(source)} characters")
        try:
            self._template = _Environment().from_string(source)
        except jinja2.TemplateError as error:
            raise self._wrong(f"it cannot be read: {error}") from error
        except RecursionError as error:
            raise self._wrong("it is nested too deeply") from error

    def render(self, messages: Sequence[Message], *, answer: str | None = None) -> str:
        """The prompt up to where the assistant's answer begins; with `answer` up to its end, as in training."""
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
        given = {"messages": turns, "add_generation_prompt": answer is None, "tools": None, **self._special}
        try:
            return _traced(lambda: self._filled(given))
        except _Raised as error:
            raise InputError(
                f"the chat template refuses these messages: {error}", where=self._where, param="messages"
            ) from error
        except SecurityError as error:
            raise self._wrong(f"it tries what no template may do: {error}") from error
        except _Endless as error:
            raise self._wrong("it does not end", allowed=f"{MAX_STEPS} steps, {MAX_S:g} s") from error
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise self._wrong(f"it fails: {error}") from error
        except (MemoryError, RecursionError) as error:
            raise self._wrong("it takes too much memory") from error

    def _filled(self, given: Mapping[str, Any]) -> str:
        parts, size = [], 0
        for part in self._template.generate(given):
            size += len(part)
            if size > MAX_CHARS:
                raise SecurityError(f"a prompt of more than {MAX_CHARS} characters")
            parts.append(part)
        return "".join(parts)

    def _wrong(self, what: str, got: str | None = None, allowed: str | None = None) -> InputError:
        return InputError(
            f"the chat template cannot be used: {what[:300]}",
            where=self._where, got=got, allowed=allowed, remedy=REMEDY, code="invalid_chat_template",
        )  # fmt: skip


class _Endless(Exception):
    """The steps or seconds of one rendering are used up."""


def _traced(work: Callable[[], str]) -> str:
    """`work()`, ended after MAX_STEPS lines of Python or MAX_S: a template's loops are lines of Python."""
    steps, end = 0, time.thread_time() + MAX_S

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > MAX_STEPS or (steps % 1024 == 0 and time.thread_time() > end):
            raise _Endless
        return trace if frame.f_code.co_filename == "<template>" else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return work()
    finally:
        sys.settrace(before)


def _bounded(filter: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses to make a huge text."""

    def bounded(*given: Any, **named: Any) -> Any:
        seen = [list(part) if isinstance(part, GeneratorType) else part for part in given]
        _check_size([*seen, *named.values()])
        return _checked(filter(*seen, **named))

    if hasattr(filter, "jinja_pass_arg"):
        bounded.jinja_pass_arg = filter.jinja_pass_arg  # type: ignore[attr-defined]
    return bounded


def _format(text: Any, *given: Any) -> str:
    _check_format(str(text))
    return str(_checked(str(text) % given))


def _check_format(text: str) -> None:
    """Raises SecurityError for a width that pads to a huge text."""
    if WIDE.search(text):
        raise SecurityError("padding to a huge text")


def _check_size(parts: list[Any], *, added: bool = False) -> None:
    """Raises SecurityError where a text made of these parts may be huge."""
    *_, second, largest = sorted([1, 1, *map(_size, parts)])
    if (added and largest > MAX_CHARS) or (not added and largest * second > MAX_PRODUCT):
        raise SecurityError("making a huge text")


def _size(part: Any) -> int:
    if isinstance(part, str):
        return len(part)
    if isinstance(part, (list, tuple)):
        return sum(map(_size, part)) if len(part) <= MAX_CHARS else len(part)
    return abs(part) if isinstance(part, int) else 1


def _checked(result: Any) -> Any:
    if isinstance(result, (str, list, tuple)) and len(result) > MAX_CHARS:
        raise SecurityError("making a huge text")
    return result


def _to_json(value: Any, indent: int | None = None, separators: Any = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=False)


def _raise(message: str) -> None:
    raise _Raised(str(message)[:500])
