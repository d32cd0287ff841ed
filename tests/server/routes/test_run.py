"""The order of steps, without any network."""

from __future__ import annotations

import random

from nanosmith.core.route import Step
from nanosmith.server.routes.growing import Grown, has_begun
from nanosmith.server.routes.rules import has_pii, says_private
from nanosmith.server.routes.run import in_order


def test_tiers_come_in_order_and_weights_decide_within() -> None:
    """First as often as the weight says: three quarters, to three standard errors."""
    random.seed(3)
    heavy, light, last = Step(model="a", tier=0, weight=3), Step(model="b", tier=0), Step(model="c", tier=1)
    orders = [in_order([light, heavy, last]) for _ in range(2000)]
    assert all(order[2] is last for order in orders)
    assert abs(sum(order[0] is heavy for order in orders) / 2000 - 0.75) < 3 * (0.75 * 0.25 / 2000) ** 0.5


def test_personal_data_is_found_however_it_is_written() -> None:
    """Full-width and other digits, and invisible characters between them."""
    for text in (
        "4111 1111 1111 1111",
        "４１１１１１１１１１１１１１１１",
        "41\u200b11 1111 1111 11\u200d11",
        "٤١١١١١١١١١١١١١١١",
    ):
        assert has_pii(f"my card is {text}"), text
    assert not has_pii("I have 3 cards and 12 questions")


def test_the_header_of_privacy() -> None:
    """Whatever it says, unless it says no."""
    assert [says_private(one) for one in (None, "", "false", "0", "NO")] == [False] * 5
    assert [says_private(one) for one in ("true", "1", "yes", "please")] == [True] * 4


def chunk(delta: dict[str, object], reason: str | None = None, index: int = 0) -> dict[str, object]:
    return {
        "id": "x",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
    }


def test_chunks_amount_to_a_completion() -> None:
    """Texts, calls whose arguments come in pieces, and the reasons for their ends."""
    grown, call = Grown(), {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a"'}}
    for one in (
        chunk({"role": "assistant", "content": ""}), chunk({"content": "he"}), chunk({"content": "llo"}),
        chunk({"tool_calls": [call]}, index=1), chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        index=1), chunk({}, "stop"),
    ):  # fmt: skip
        grown.take(one)
    assert not grown.has_ended
    grown.take(chunk({}, "tool_calls", 1))
    assert grown.has_ended
    text, called = grown.completion()["choices"]
    assert (text["message"]["content"], text["finish_reason"]) == ("hello", "stop")
    assert called["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_when_an_answer_has_begun() -> None:
    """With its first content, not with its role."""
    assert not has_begun(chunk({"role": "assistant", "content": ""}))
    assert has_begun(chunk({"content": "x"}))
    assert has_begun(chunk({"tool_calls": [{}]}))
    assert has_begun(chunk({}, "stop"))
