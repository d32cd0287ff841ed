"""Whether all that one JSON Schema allows is valid under another one: what a model can answer, and what is asked.

The narrow schema is the model's own: plain, without references, and its objects have no other keys than they list. The
wide one is the client's and may hold anything; what is not understood there is refused, not skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.core.json_schema import MAX_DEPTH, WORDS, Checker, resolve, unsupported
from nanosmith.core.limits import MAX_SCHEMA_STEPS

ROOT = "the answer"
VALUE_CHARS = 60
SMALL: dict[str, list[Any]] = {"null": [None], "boolean": [False, True]}
"""Types with few values."""
OF_TYPE = {
    "items": "array", "minItems": "array", "maxItems": "array", "properties": "object", "required": "object",
    "additionalProperties": "object", "minLength": "string", "maxLength": "string", "pattern": "string",
    "format": "string",
}  # fmt: skip
"""Keywords that forbid nothing to other types."""


class Inclusion:
    """Tells why answers may not fit a schema. References can make that endless, so the steps are counted."""

    def __init__(self, wide: dict[str, Any], *, all_required: bool = True) -> None:
        """Without `all_required` a key may be missing all the same."""
        self._root = wide
        self._all_required = all_required
        self._steps = 0
        self._checker = Checker(wide)

    def misfit(self, narrow: Any, wide: Any, where: str = "", depth: int = 0) -> str | None:
        """What the narrow schema allows and the wide one does not, in words; None where there is nothing. Raises
        InputError for what is not understood."""
        self._steps += 1
        if self._steps > MAX_SCHEMA_STEPS or depth > MAX_DEPTH:
            raise unsupported("checking it takes too long")
        if wide is True or wide == {}:
            return None
        if not isinstance(wide, dict):
            return f"{where or ROOT} is there, and the schema forbids it"
        for part in alternatives(narrow):
            why = self._values(part, wide, where) if "enum" in part else self._part(part, wide, where, depth + 1)
            if why:
                return why
        return None

    def _values(self, narrow: dict[str, Any], wide: dict[str, Any], where: str) -> str | None:
        for value in narrow["enum"]:
            if not self._checker.fits(value, wide):
                shown = msgspec.json.encode(value).decode()[:VALUE_CHARS]
                return f"{where or ROOT} can be {shown}, which the schema forbids"
        return None

    def _part(self, narrow: dict[str, Any], wide: dict[str, Any], where: str, depth: int) -> str | None:
        """Of one type that has many values."""
        for keyword, limit in wide.items():
            if keyword in WORDS or OF_TYPE.get(keyword, narrow.get("type")) != narrow.get("type"):
                continue
            if why := self._keyword(keyword, limit, narrow, wide, where, depth):
                return why
        return None

    def _keyword(
        self, keyword: str, limit: Any, narrow: dict[str, Any], wide: dict[str, Any], where: str, depth: int
    ) -> str | None:
        if keyword == "$ref":
            return self.misfit(narrow, resolve(limit, self._root), where, depth)
        if keyword in ("anyOf", "allOf") and isinstance(limit, list):
            found = [self.misfit(narrow, one, where, depth) for one in limit]
            fits = all(found) if keyword == "anyOf" else any(found)
            return next((why for why in found if why), f"{where or ROOT} fits nothing") if fits else None
        if keyword in STRUCTURE:
            return getattr(self, STRUCTURE[keyword])(limit, narrow, wide, where, depth)  # type: ignore[no-any-return]
        if narrow.get(keyword) == limit:
            return None
        return f"{where or ROOT} is not bound to {keyword} {str(limit)[:VALUE_CHARS]}"

    def _type(self, limit: Any, narrow: dict[str, Any], _wide: Any, where: str, _depth: int) -> str | None:
        names, own = limit if isinstance(limit, list) else [limit], narrow.get("type")
        if own in names or (own == "integer" and "number" in names):
            return None
        return f"{where or ROOT} can be {_article(own)}, where the schema wants {' or '.join(map(str, names))}"

    def _items(self, limit: Any, narrow: dict[str, Any], _wide: Any, where: str, depth: int) -> str | None:
        return self.misfit(narrow.get("items", {}), limit, f"{where}[]", depth)

    def _properties(self, limit: Any, narrow: dict[str, Any], _wide: Any, where: str, depth: int) -> str | None:
        own = narrow.get("properties", {})
        if not isinstance(limit, dict):
            raise unsupported("properties must be an object")
        for name, part in limit.items():
            if name in own and (why := self.misfit(own[name], part, _below(where, name), depth)):
                return why
        return None

    def _required(self, limit: Any, narrow: dict[str, Any], wide: Any, where: str, _depth: int) -> str | None:
        for name in limit if isinstance(limit, list) else []:
            if name not in narrow.get("properties", {}):
                return f"the model knows no field {_below(where, str(name))[:VALUE_CHARS]!r}"
            if self._all_required and name not in narrow.get("required", []):
                return f"{_below(where, str(name))} can be missing, and the schema requires it"
        return None

    def _closed(self, limit: Any, narrow: dict[str, Any], wide: dict[str, Any], where: str, _depth: int) -> str | None:
        if not isinstance(limit, bool):
            raise unsupported("additionalProperties must be true or false")
        known = wide.get("properties") or {}
        extra = next((name for name in narrow.get("properties", {}) if name not in known), None)
        return None if limit or extra is None else f"the schema has no {_below(where, extra)!r}, which the model writes"


STRUCTURE = {
    "type": "_type", "items": "_items", "properties": "_properties", "required": "_required",
    "additionalProperties": "_closed",
}  # fmt: skip


def alternatives(narrow: Any) -> list[dict[str, Any]]:
    """The schema as parts of one type each, those with few values as an enum."""
    if not isinstance(narrow, dict):
        return [{}]
    if isinstance(narrow.get("anyOf"), list):
        rest = {name: value for name, value in narrow.items() if name != "anyOf"}
        return [part for one in narrow["anyOf"] for part in alternatives(rest | one)]
    if "const" in narrow:
        return [{"enum": [narrow["const"]]}]
    if "enum" in narrow:
        return [narrow]
    names = narrow.get("type")
    parts = [narrow | {"type": name} for name in names] if isinstance(names, list) else [narrow]
    return [{"enum": SMALL[part["type"]]} if part.get("type") in SMALL else part for part in parts]


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _article(kind: Any) -> str:
    if kind is None:
        return "anything"
    return f"an {kind}" if str(kind)[0] in "aio" else f"a {kind}"
