"""Grammars: what they allow, what they cost, and what hostile ones come to."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Grammar
from nanosmith.predict import grammar as module
from nanosmith.predict.grammar import MAX_KEPT, MAX_SOURCE_BYTES, Ending, Grammars, Matcher
from nanosmith.predict.text.vocabulary import Vocabulary

RECORD = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["name", "n"],
    "additionalProperties": False,
}
HOSTILE = {
    "nested repetition": Grammar("regex", "((a{1000}){1000}){1000}"),
    "optional": Grammar("regex", "(a?){5000}a{5000}"),
    "intersecting": Grammar("regex", "(a|b)*a(a|b){30}"),
    "evil": Grammar("regex", "(a+)+$"),
    "nested groups": Grammar("regex", "(" * 60 + "a+" + ")*" * 60),
    "lookahead": Grammar("regex", "(?=a)b"),
    "backreference": Grammar("regex", r"(a)\1"),
    "no regex": Grammar("regex", "("),
    "itself": Grammar("json_schema", '{"$ref": "#"}'),
    "large array": Grammar("json_schema", '{"type": "array", "minItems": 1000000, "items": {"type": "string"}}'),
    "remote": Grammar("json_schema", '{"$ref": "http://localhost/schema"}'),
    "exponential": Grammar(
        "json_schema",
        json.dumps({"allOf": [{"oneOf": [{"minLength": i * j} for j in range(3)]} for i in range(12)]}),
    ),
    "multiple": Grammar("json_schema", '{"type": "integer", "multipleOf": 999999937}'),
    "ambiguous": Grammar("lark", 'start: a a a a a a\na: "x"* "x"*'),
    "left recursion": Grammar("lark", 'start: start start | "a"'),
    "no lark": Grammar("lark", "start ->"),
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    from nanosmith.testing.tiny_decoder import _tokenizer

    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    _tokenizer().save(str(file))
    return Vocabulary(file)


@pytest.fixture
def grammars(vocabulary: Vocabulary) -> Grammars:
    return Grammars(vocabulary, vocabulary.size, (0,))


def compiled(grammars: Grammars, grammar: Grammar) -> Matcher:
    compiling = grammars.begin(grammar)
    while not compiling.ready(0.05):
        pass
    return compiling.matcher()


def obeys(matcher: Matcher, vocabulary: Vocabulary, text: str) -> bool:
    ahead = matcher.copy()
    for token in vocabulary.ids(text):
        if not ahead.allowed()[token]:
            return False
        ahead.add(token)
    return ahead.is_complete


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"name":"x","n":1}', True), ('{"name": "x", "n": 1}', True), ('{"n":1,"name":"x"}', False),
        ('{"name":"x"}', False), ('{"name":"x","n":1.5}', False), ('{"name":"x",  "n":1}', False),
    ],
)  # fmt: skip
def test_json_schema(grammars: Grammars, vocabulary: Vocabulary, text: str, fits: bool) -> None:
    """Fields come in their order, all of them and no others, compact or with single spaces."""
    assert obeys(compiled(grammars, Grammar("json_schema", json.dumps(RECORD))), vocabulary, text) is fits


def test_a_schema_cannot_loosen_the_compiler(grammars: Grammars) -> None:
    """Keywords that are not enforced are an error, also where the schema itself asks for lenience."""
    schema = json.dumps({"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}})
    with pytest.raises(InputError, match="cannot be used"):
        compiled(grammars, Grammar("json_schema", schema))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_grammars_end(grammars: Grammars, name: str) -> None:
    """Each compiles or is refused with a clear error, in less than two seconds of the processor's time."""
    began = time.process_time()
    refused = None
    try:
        compiled(grammars, HOSTILE[name]).allowed()
    except InputError as error:
        refused = error
    assert time.process_time() - began < 2
    assert refused is None or (refused.param == "response_format" and "\n" not in str(refused))


def test_waiting_ends(grammars: Grammars, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a grammar longer than the limit gets an error; waiting is in slices, for others' turns."""
    monkeypatch.setattr(module, "MAX_COMPILE_S", 0.0)
    monkeypatch.setattr(Grammars, "_compiled", lambda *_: time.sleep(0.5))
    compiling = grammars.begin(Grammar("regex", "a"))
    with pytest.raises(InputError, match="took more than") as raised:
        any(compiling.ready() for _ in range(100))
    assert raised.value.code == "grammar_too_complex"


@pytest.mark.parametrize(
    ("grammar", "what"),
    [
        (Grammar("regex", "a" * (MAX_SOURCE_BYTES + 1)), "too large"),
        (Grammar("regex", "(" * 65 + "a" + ")" * 65), "nested too deeply"),
        (Grammar("json_schema", '{"not": ' * 70 + "{}" + "}" * 70), "nested too deeply"),
        (Grammar("json_schema", "{"), "no JSON"),
        (Grammar("json_schema", "[]"), "JSON object"),
    ],
)
def test_sources_are_bounded_first(grammars: Grammars, grammar: Grammar, what: str) -> None:
    """Size, depth and form are looked at before anything is compiled."""
    with pytest.raises(InputError, match=what):
        grammars.begin(grammar)


def test_compiled_grammars_are_kept_and_bounded(grammars: Grammars) -> None:
    """The same grammar is compiled once; only so many are kept."""
    first = grammars.begin(Grammar("regex", "a"))
    assert grammars.begin(Grammar("regex", "a")) is first
    for i in range(MAX_KEPT):
        compiled(grammars, Grammar("regex", f"b{i}"))
    assert len(grammars._kept) == MAX_KEPT
    assert grammars.begin(Grammar("regex", "a")) is not first


def test_ending_takes_the_way_out_in_time(grammars: Grammars, vocabulary: Vocabulary) -> None:
    """A text that would go on for ever is led to a complete one within its tokens."""
    matcher = compiled(grammars, Grammar("json_schema", json.dumps(RECORD)))
    ending, written = Ending(vocabulary, matcher, 60), list[int]()
    wanted = vocabulary.ids('{"name":"' + "x" * 100)
    while len(written) < 60 and not matcher.is_over:
        token = ending.next(wanted[len(written)], 60 - len(written))
        if token is None:
            break
        matcher.add(token)
        written.append(token)
    answer = json.loads(b"".join(map(vocabulary.bytes, written)))
    assert ending.is_leaving
    assert len(answer["name"]) > 30
    assert len(written) <= 60


def test_ending_of_an_impossible_text(grammars: Grammars, vocabulary: Vocabulary) -> None:
    """Where even the shortest text needs more tokens, nothing is changed."""
    ending = Ending(vocabulary, compiled(grammars, Grammar("regex", "a{50}")), 10)
    assert ending.next(vocabulary.ids("a")[0], 10) == vocabulary.ids("a")[0]


def test_a_vocabulary_of_other_bytes(tmp_path: Path) -> None:
    """Tokens of a byte-fallback vocabulary are bytes too."""
    from tokenizers import Tokenizer, decoders, models

    tokenizer = Tokenizer(models.BPE({"\u2581hi": 0, "<0x0A>": 1, "ü": 2}, []))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = Vocabulary(tmp_path / "tokenizer.json")
    assert [vocabulary.bytes(i) for i in range(4)] == [b" hi", b"\n", "ü".encode(), b""]
