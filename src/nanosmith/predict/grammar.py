"""Constrained decoding: which tokens may come next so that the text obeys a JSON schema, a regular expression or a Lark
grammar (llguidance, https://github.com/guidance-ai/llguidance).

Grammars come from anybody. What compiling one may cost is bounded three times: the size of its source, the fuel of the
compiler and of each mask (both count work, and end it), and the time that a request waits for it. Compiling runs on a
thread of its own, without Python's lock: whoever writes on the same model goes on meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.core.generation import Grammar
from nanosmith.predict.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

Allowed = npt.NDArray[np.bool_]
MAX_SOURCE_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_COMPILE_S = 2.0
MAX_KEPT = 64
SLICE_S = 0.01
FUEL = {
    "initial_lexer_fuel": 500_000, "step_lexer_fuel": 100_000, "step_max_items": 20_000, "max_items_in_row": 1_000,
    "max_lexer_states": 50_000, "max_grammar_size": 100_000, "verbose_errors": False,
}  # fmt: skip
JSON_STYLE = {"whitespace_pattern": " ?", "lenient": False, "coerce_one_of": False}
"""At most one space between two parts: both usual ways to write JSON, and no endless blanks."""
PARAM = "response_format"


class Compiling:
    """A grammar on its way. `wait` until it is `ready`, a little at a time; then `matcher`."""

    def __init__(self) -> None:
        self.made: Future[LLMatcher] = Future()
        self.end: float | None = None  # in monotonic seconds, once its turn has come

    def ready(self, wait_s: float = SLICE_S) -> bool:
        """Waits at most `wait_s`. Raises InputError for a grammar that is wrong or takes more than MAX_COMPILE_S."""
        try:
            self.made.result(wait_s)
        except NotYet:
            if self.end is not None and time.monotonic() > self.end:
                raise _unusable(f"compiling it took more than {MAX_COMPILE_S:g} s", "grammar_too_complex") from None
            return False
        return True

    def matcher(self) -> Matcher:
        return Matcher(self.made.result().deep_copy())


class Grammars:
    """Compiled grammars over one vocabulary of V tokens, the most recently used kept."""

    def __init__(self, vocabulary: Vocabulary, size: int, ends: tuple[int, ...]) -> None:
        self._vocabulary = vocabulary
        self._size = size
        self._ends = ends
        self._kept: OrderedDict[Grammar, Compiling] = OrderedDict()
        self._lock = threading.Lock()
        self._tokens: Any = None

    def begin(self, grammar: Grammar) -> Compiling:
        """Raises InputError for a source that is too large or no JSON schema, MissingExtra."""
        with self._lock:
            if (known := self._kept.get(grammar)) is not None:
                self._kept.move_to_end(grammar)
                return known
        _check_size(grammar)
        compiling = Compiling()
        threading.Thread(target=self._compile, args=(grammar, compiling), name="grammar", daemon=True).start()
        with self._lock:
            self._kept[grammar] = compiling
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return compiling

    def _compile(self, grammar: Grammar, compiling: Compiling) -> None:
        try:
            llguidance = _llguidance()
            tokenizer = self._tokenizer(llguidance)  # read once, which is nobody's fault
            compiling.end = time.monotonic() + MAX_COMPILE_S
            compiling.made.set_result(self._compiled(llguidance, tokenizer, grammar))
        except BaseException as error:
            compiling.made.set_exception(error)

    def _compiled(self, llguidance: Any, tokenizer: Any, grammar: Grammar) -> LLMatcher:
        found = llguidance.LLMatcher(
            tokenizer, _source(llguidance, grammar), log_level=0,
            limits=llguidance.LLParserLimits(**FUEL),
        )  # fmt: skip
        if found.is_error():
            raise _unusable(found.get_error())
        found.compute_bitmask()  # the first mask is part of the price
        if found.is_error():
            raise _unusable(found.get_error())
        return found

    def _tokenizer(self, llguidance: Any) -> Any:
        with self._lock:
            if self._tokens is None:
                self._tokens = llguidance.LLTokenizer(
                    self._vocabulary.source, n_vocab=self._size, eos_token=list(self._ends)
                )
            return self._tokens


class Matcher:
    """Where one text stands in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allowed(self) -> Allowed:
        """Which tokens (V) may come next, the end included where the text may end. Raises InputError."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return np.unpackbits(bits, bitorder="little").view(np.bool_)

    def add(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    @property
    def is_complete(self) -> bool:
        """Whether the text obeys the grammar as it stands."""
        return bool(self._matcher.is_accepting())

    @property
    def is_over(self) -> bool:
        """Whether the text is complete and nothing can follow."""
        return bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """The tokens that must come next."""
        return list(self._matcher.compute_ff_tokens())

    def copy(self) -> Matcher:
        return Matcher(self._matcher.deep_copy())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise _unusable(self._matcher.get_error(), "grammar_too_complex")


class Ending:
    """Sees to it that a text is complete when its tokens are used up, by taking a short way out in time.

    A way is a list of tokens that complete the text. Near the end each token is tried first: one after which no way is
    short enough is not taken, and the last way known is gone instead. Where a grammar needs more tokens from the start,
    nothing can be done.
    """

    WATCH = 64
    """Tokens left, beyond twice the shortest text, from which on each token is tried."""

    def __init__(self, vocabulary: Vocabulary, matcher: Matcher, room: int) -> None:
        self._closers = _Closers(vocabulary)
        self._matcher = matcher
        self._way = self._way_out(matcher, room)
        self._watch = 0 if self._way is None else 2 * len(self._way) + self.WATCH
        self.is_leaving = False

    def next(self, token: int, left: int) -> int | None:
        """The token to take where `token` is wanted and `left` tokens are left, it included; None: end here."""
        if self.is_leaving:
            return self._step()
        if left > self._watch:
            self._way = None
            return token
        if self._way and self._way[0] == token:
            self._way = self._way[1:]
            return token
        after = self._matcher.copy()
        after.add(token)
        way = self._way_out(after, left - 1)
        if way is None:
            self._way = self._way if self._way is not None else self._way_out(self._matcher, left)
            if self._way is None:
                return token
            self.is_leaving = True
            return self._step()
        self._way = way
        return token

    def _step(self) -> int | None:
        return self._way.pop(0) if self._way else None

    def _way_out(self, matcher: Matcher, room: int) -> list[int] | None:
        """At most `room` tokens to a complete text; None where none was found."""
        ahead, way = matcher.copy(), list[int]()
        while not ahead.is_complete:
            if len(way) >= room:
                return None
            for token in ahead.forced() or [self._closers.pick(ahead.allowed())]:
                ahead.add(token)
                way.append(token)
        return way if len(way) <= room else None


class _Closers:
    """Tokens that lead out of JSON: the end of a string in a string, else of an object or a list, else short values."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        find = vocabulary.tokenizer.token_to_id
        self._quote, self._letter = find('"'), find("a")
        order = [find(text) for text in ("}", "]", '"', "0", "1")]
        self._order = [token for token in order if token is not None]

    def pick(self, allowed: Allowed) -> int:
        if self._quote is not None and self._letter is not None and allowed[self._quote] and allowed[self._letter]:
            return int(self._quote)
        return next((token for token in self._order if allowed[token]), int(allowed.argmax()))


def _source(llguidance: Any, grammar: Grammar) -> str:
    matcher = llguidance.LLMatcher
    try:
        if grammar.kind == "json_schema":
            return str(matcher.grammar_from_json_schema(grammar.source, overrides=JSON_STYLE))
        made = matcher.grammar_from_regex if grammar.kind == "regex" else matcher.grammar_from_lark
        return str(made(grammar.source))
    except ValueError as error:
        raise _unusable(str(error)) from error


def _check_size(grammar: Grammar) -> None:
    size = len(grammar.source.encode("utf-8", "replace"))
    if size > MAX_SOURCE_BYTES:
        raise InputError("the grammar is too large", got=f"{size} bytes", allowed=MAX_SOURCE_BYTES, param=PARAM)
    deepest = _schema_depth(grammar.source) if grammar.kind == "json_schema" else _bracket_depth(grammar.source)
    if deepest > MAX_DEPTH:
        raise InputError("the grammar is nested too deeply", got=deepest, allowed=MAX_DEPTH, param=PARAM)


def _schema_depth(source: str) -> int:
    try:
        level, depth = [msgspec.json.decode(source)], 0
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _unusable(f"the schema is no JSON: {error}") from error
    if not isinstance(level[0], dict):
        raise _unusable("a schema is a JSON object")
    while level:
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, (dict, list))]
        level = [part for parts in inner for part in parts]
        depth += 1
    return depth


def _bracket_depth(source: str) -> int:
    depth = deepest = 0
    for char in source:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _unusable(why: str, code: str = "invalid_grammar") -> InputError:
    return InputError(
        f"the grammar cannot be used: {' '.join(why.split())[:300]}", remedy="Make it simpler.", param=PARAM, code=code
    )


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtra("llguidance", "text") from error
    return llguidance
