"""Templates: what a reference may be, what it stands for, and that nothing else happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.score.graders.helpers import context

from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.score.graders.grade import GradingError
from nanosmith.score.graders.template import check_template, fill

ITEM = {"name": "Ada", "n": 1, "none": None, "list": ["a", {"b": "deep"}], "two words": "yes", "größe": "XL"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{item.name}}", "Ada"),
        ("{{ item.name }} and {{sample.output_text}}!", 'Ada and {"x": [1.5, true]}!'),
        ("{{item.n}} {{item.none}}", "1 null"),
        ("{{item.list[0]}} {{ item.list[1].b }} {{item.list.1.b}}", "a deep deep"),
        ("{{item['two words']}} {{item[\"two words\"]}}", "yes yes"),
        ("{{item.größe}}", "XL"),
        ("{{sample.output_json.x[0]}} {{sample.output_json.x[1]}} {{sample.output_json}}", '1.5 true {"x":[1.5,true]}'),
        ('{"name": "{{item.name}}"} {{{item.name}}}', '{"name": "Ada"} {Ada}'),
        ("no reference: {item.name} {{ {item.name} }}", "no reference: {item.name} {{ {item.name} }}"),
    ],
)
def test_references_stand_for_values(template: str, text: str) -> None:
    """Texts are inserted as they are and other values as JSON, by name, index or quoted key."""
    assert fill(template, context(ITEM, '{"x": [1.5, true]}')) == text


@pytest.mark.parametrize(
    "reference",
    ["item", "name", "items.name", "item.name | upper", "item.name()", "item.__class__.__mro__", "7*7", "",
     "item..name",
     "item.list[-1]", "item.list.-1", "item.list[2]", "item.list[99999999999999999999]", "item.name.x", "item.name[0]",
     "item.n.real", "item.missing"],
)  # fmt: skip
def test_other_references_are_errors(reference: str) -> None:
    """A filter, a call, an attribute of Python or a value that is not there is an invalid variable."""
    with pytest.raises(GradingError) as caught:
        fill("{{" + reference + "}}", context(ITEM))
    assert caught.value.flag == "invalid_variable_error"
    assert reference[:40] in str(caught.value)


def test_a_missing_name_lists_the_others() -> None:
    """The error of a name that is not there says which are."""
    with pytest.raises(GradingError, match="name, n, none, list, two words and 1 more"):
        fill("{{item.nam}}", context(ITEM))


def test_json_of_a_sample_that_is_none() -> None:
    """A reference to the JSON of a sample that is no JSON has an error of its own."""
    with pytest.raises(GradingError, match="not JSON") as caught:
        fill("{{sample.output_json.x}}", context(sample="plain"))
    assert caught.value.flag == "sample_parse_error"


def test_check_reads_without_values() -> None:
    """Checking a template finds what is no reference, and names the field."""
    check_template("{{item.anything}} {{sample.output_json.a[0]}}", "grader.input")
    with pytest.raises(GradingError) as caught:
        check_template("{{item.a}} {{ item.a + 1 }}", "grader.input")
    assert caught.value.param == "grader.input"


@given(st.text(alphabet="{} itemx.[0]'\"", max_size=80))
def test_values_are_not_filled_in_again(value: str) -> None:
    """Whatever a value is, it comes out unchanged, even where it looks like a template."""
    assert fill("<{{item.x}}>", context({"x": value})) == f"<{value}>"


@given(st.text(alphabet="{} itemsaple.[0]'\"|()", max_size=80))
def test_any_template_is_filled_or_refused(template: str) -> None:
    """No text makes anything but a filled template or a GradingError."""
    try:
        filled = fill(template, context({"a": 1}))
    except GradingError:
        return
    assert template == filled or "{{" in template


@pytest.mark.parametrize("template", ["{{" * 60_000, "{{a" * 40_000])
def test_hostile_braces_are_text(template: str) -> None:
    """Long runs of braces that never close are read at once, as text."""
    assert fill(template, context()) == template


@pytest.mark.parametrize(
    "template", ["{{item.x}}" * 2_000, "{{item" + ".x" * 60_000 + "}}", "{{" + " " * 130_000 + "}}"]
)
def test_hostile_references_are_refused(template: str) -> None:
    """A small template that makes a huge text, a long path and long spaces are refused in few words."""
    with pytest.raises(GradingError) as caught:
        fill(template, context({"x": "a" * 10_000}))
    assert len(str(caught.value)) < 500


def test_a_filled_text_has_a_limit() -> None:
    """A text that becomes too long says how long it may be."""
    with pytest.raises(GradingError, match=str(MAX_INPUT_CHARS)) as caught:
        fill("{{item.x}}{{item.x}}", context({"x": "a" * MAX_INPUT_CHARS}))
    assert caught.value.flag == "other_error"
