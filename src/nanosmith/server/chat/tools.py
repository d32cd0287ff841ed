"""Functions that a text model may call: how they are offered to it, and how its call is read off what it writes.

A small decoder's template has no words for tools, so the functions stand in the system message, and a call is a JSON
object {"name": …, "arguments": …}, alone. A grammar sees to it that a call is one of an offered function with arguments
that fit its schema. With `tool_choice` "auto" the grammar has two branches: an answer that begins with "{" is a call,
any other is text; the model takes one by its first token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.generation import Grammar
from nanosmith.core.structs import to_struct
from nanosmith.core.task import SYSTEM_ROLES
from nanosmith.server.chat.request import ChatMessage, ChatRequest, CustomToolCall, refused, turns
from nanosmith.server.http.strict_schema import Strict

MAX_TOOLS = 128
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
HEAD = "You can call functions. To call one, answer with a JSON object and nothing else:"
FORM = '{"name":"<function>","arguments":{…}}'
TEXT_OR_CALL = "start: text | call\ntext: TEXT?\nTEXT: /[^{\\s](.|\\n)*/\ncall: %json "
COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""What the runtime does with JSON schemas of its own accord, and not inside of other grammars."""


class Function(msgspec.Struct):
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    type: str
    function: Function | None = None


class Tools(msgspec.Struct):
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)]


class _Named(msgspec.Struct):
    name: str


class _AllowedTool(msgspec.Struct):
    type: Literal["function"]
    function: _Named


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: Annotated[list[_AllowedTool], Meta(min_length=1)]


class _Choice(msgspec.Struct):
    type: Literal["function", "allowed_tools"]
    function: _Named | None = None
    allowed_tools: _Allowed | None = None


class _Chosen(msgspec.Struct):
    tool_choice: _Choice


class Offer(msgspec.Struct, frozen=True):
    """The functions that may be called; with `required` one of them is."""

    functions: tuple[Function, ...]
    required: bool

    def grammar(self, answer: dict[str, Any] | None) -> Grammar:
        """Of a call or, where none is required, of a text or of JSON that fits `answer`."""
        if self.required:
            return Grammar("json_schema", json.dumps(_any_of(self.functions)))
        if answer is not None:
            return Grammar("json_schema", json.dumps(_any_of(self.functions, answer)))
        return Grammar("lark", TEXT_OR_CALL + json.dumps(_any_of(self.functions) | COMPACT) + "\n")

    def told(self, turns: Sequence[Message]) -> tuple[Message, ...]:
        """The turns, with the functions in the system message."""
        lines = [HEAD, FORM, "Functions:", *(_described(function) for function in self.functions)]
        if turns and turns[0].role in SYSTEM_ROLES:
            first = Message(turns[0].role, "\n\n".join([turns[0].content, "\n".join(lines)]))
            return (first, *turns[1:])
        return (Message("system", "\n".join(lines)), *turns)


def offer(request: ChatRequest) -> Offer | None:
    """What may be called; None where nothing may. Raises InputError."""
    for param in ("functions", "function_call"):
        if getattr(request, param) not in (None, [], "none", "auto"):
            raise refused(param, "it is deprecated", "tools and tool_choice")
    functions = _functions(request.tools or [])
    choice = request.tool_choice
    if not functions or choice == "none":
        if choice not in (None, "none", "auto"):
            raise refused("tool_choice", "there are no tools", "tools")
        return None
    if isinstance(choice, dict):
        return _chosen(choice, functions)
    if choice not in (None, "auto", "required"):
        raise refused("tool_choice", "it is unknown", '"none", "auto", "required" or a function')
    return Offer(functions, choice == "required")


def told(request: ChatRequest) -> tuple[Message, ...]:
    """The messages as turns; a call is told as the model writes one. Raises InputError."""
    said = turns(request)
    return tuple(
        Message(turn.role, _with_calls(turn.content, message))
        for turn, message in zip(said, request.messages, strict=True)
    )


def call_text(name: str, arguments: str) -> str:
    """A call as the model writes it; `arguments` are JSON."""
    return f'{{"name":{json.dumps(name)},"arguments":{arguments or "{}"}}}'


class CallReader:
    """Reads a call off a text that comes in pieces: its name, once, then its arguments as they are written.

    `is_call` is None as long as nobody knows whether it is a call or a text.
    """

    def __init__(self, offered: Offer) -> None:
        names = "|".join(re.escape(function.name) for function in offered.functions)
        self._head = re.compile(r'\s*\{\s*"name"\s*:\s*"(' + names + r')"\s*,\s*"arguments"\s*:\s*(?=\S)')
        self._longest = max(len(function.name) for function in offered.functions) + 64
        self._text = ""
        self._shown = 0
        self.is_call: bool | None = None
        self.name = ""
        self._start = 0

    def feed(self, text: str, *, is_last: bool = False) -> str:
        """What can be shown now: of the arguments for a call, else of the text; nothing while that is not known."""
        self._text += text
        if self.is_call is None:
            self._decide(is_last=is_last)
        if self.is_call is None:
            return ""
        end = self._end_of_arguments() if self.is_call else len(self._text)
        shown, self._shown = self._text[self._shown : end], max(self._shown, end)
        return shown

    @property
    def arguments(self) -> str:
        """So far."""
        return self._text[self._start : self._shown]

    def _decide(self, *, is_last: bool) -> None:
        if found := self._head.match(self._text):
            self.is_call, self.name = True, found[1]
            self._start = self._shown = found.end()
            return
        begun = self._text.lstrip()
        if is_last or (begun and not begun.startswith("{")) or len(begun) > self._longest:
            self.is_call = False

    def _end_of_arguments(self) -> int:
        """Without the brace that ends the call, which may be the last one so far."""
        kept = self._text.rstrip()
        return max(self._shown, len(kept[:-1].rstrip()) if kept.endswith("}") else len(kept))


def _functions(given: list[Any]) -> tuple[Function, ...]:
    functions: list[Function] = []
    for i, tool in enumerate(to_struct({"tools": given}, Tools).tools):
        where = f"tools[{i}]"
        if tool.type != "function":
            raise refused(f"{where}.type", "this model calls functions alone", '"function"')
        if tool.function is None:
            raise InputError("the function is missing", param=f"{where}.function", code="missing_required_parameter")
        if tool.function.name in (function.name for function in functions):
            raise InputError("two functions have the same name", got=tool.function.name, param=f"{where}.function.name")
        if tool.function.strict:
            strict = Strict(
                f"function '{tool.function.name}'", param=f"{where}.function.parameters",
                code="invalid_function_parameters",
            )  # fmt: skip
            strict.check(tool.function.parameters or NO_ARGUMENTS)
        functions.append(tool.function)
    return tuple(functions)


def _chosen(given: dict[str, Any], functions: tuple[Function, ...]) -> Offer:
    choice = to_struct({"tool_choice": given}, _Chosen).tool_choice
    if choice.type == "function" and choice.function is not None:
        return Offer(_by_name([choice.function.name], functions), required=True)
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        names = [tool.function.name for tool in choice.allowed_tools.tools]
        return Offer(_by_name(names, functions), choice.allowed_tools.mode == "required")
    raise InputError(
        f"tool_choice has no {choice.type}", param=f"tool_choice.{choice.type}", code="missing_required_parameter"
    )


def _by_name(names: list[str], functions: tuple[Function, ...]) -> tuple[Function, ...]:
    known = {function.name: function for function in functions}
    for name in names:
        if name not in known:
            raise InputError("no tool has this name", got=repr(name[:64]), param="tool_choice")
    return tuple(known[name] for name in dict.fromkeys(names))


def _with_calls(text: str, message: ChatMessage) -> str:
    calls = [] if message.function_call is None else [(message.function_call.name, message.function_call.arguments)]
    for call in message.tool_calls or ():
        if isinstance(call, CustomToolCall):
            calls.append((call.custom.name, json.dumps(call.custom.input)))
        else:
            calls.append((call.function.name, call.function.arguments))
    return "\n".join(part for part in (text, *(call_text(*call) for call in calls)) if part)


def _described(function: Function) -> str:
    shown: dict[str, Any] = {"name": function.name}
    if function.description:
        shown["description"] = function.description
    return json.dumps(shown | {"parameters": function.parameters or NO_ARGUMENTS}, ensure_ascii=False)


def _any_of(calls: Sequence[Function], answer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of a call of one of them, or of `answer`. Each one's own schema becomes a definition."""
    own = [call.parameters or NO_ARGUMENTS for call in calls] + ([] if answer is None else [answer])
    definitions = {f"part{i}": _moved(schema, f"#/$defs/part{i}") for i, schema in enumerate(own)}
    parts: list[dict[str, Any]] = [{"$ref": f"#/$defs/{name}"} for name in definitions]
    for i, call in enumerate(calls):
        properties = {"name": {"const": call.name}, "arguments": parts[i]}
        parts[i] = {
            "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
        }  # fmt: skip
    return {"anyOf": parts, "$defs": definitions}


def _moved(schema: Any, root: str) -> Any:
    """The same schema where it stands at `root` of another: its references to itself lead there."""
    if isinstance(schema, list):
        return [_moved(one, root) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: root + value[1:] if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, root)
        for key, value in schema.items()
    }  # fmt: skip
