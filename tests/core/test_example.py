"""Messages and examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.example import Example, Message, as_messages

MESSAGES = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=5)), max_size=3).map(
    tuple
)
EXAMPLES = st.builds(Example, MESSAGES, st.text(max_size=5), st.integers(1, 9), st.sampled_from([0.5, 1.0]))


@given(EXAMPLES, EXAMPLES)
def test_digest_is_of_the_content(first: Example, second: Example) -> None:
    """Equal digests mean equal input and answer; line and weight do not matter."""
    same = (first.messages, first.answer) == (second.messages, second.answer)
    assert (first.digest == second.digest) == same


def test_plain_text_is_a_user_turn() -> None:
    """A conversation stays as it is."""
    assert as_messages("hi") == (Message("user", "hi"),)
    assert as_messages([Message("system", "x"), Message("user", "y")]) == (Message("system", "x"), Message("user", "y"))


def test_soft_labels_are_part_of_the_content() -> None:
    """A teacher's probabilities change the digest; their order does not."""
    plain = Example((Message("user", "hi"),), "a", 1)
    soft = Example((Message("user", "hi"),), "a", 1, soft={"a": 0.5, "b": 0.5})
    assert plain.digest != soft.digest
    assert soft.digest == Example((Message("user", "hi"),), "a", 9, soft={"b": 0.5, "a": 0.5}).digest
