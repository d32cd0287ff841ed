"""What an answer of a local step saved: the price of the route's last remote step, for the tokens that were counted."""

from __future__ import annotations

from nanosmith.core.errors import NanosmithError
from nanosmith.core.money import Usage, cost_of
from nanosmith.server.routes.ask import Ask, LabelReply, Reply, TextReply
from nanosmith.server.routes.run import Done


def count_answered_here(ask: Ask, done: Done) -> None:
    """Book an answer that is whole, if a local step gave it and the route has a remote one, too."""
    routing = ask.home.shared.routing
    remotes = [step.model for step in ask.route.steps if routing.is_remote(step.model)]
    if not remotes or done.step.model in remotes:
        return
    usage = _used(done.reply)
    try:
        prices = routing.remote(remotes[-1]).model.prices
    except NanosmithError:  # a step that nobody knows would have cost nothing
        prices = None
    ask.home.shared.purse.answered_here(
        project=ask.project, key=ask.key, route=ask.route.name, model=done.step.model, usage=usage,
        saved=cost_of(usage, prices) if prices else 0,
    )  # fmt: skip


def _used(reply: Reply) -> Usage:
    if isinstance(reply, LabelReply):
        return Usage(reply.answer.prediction.tokens, reply.answer.written_tokens)
    if isinstance(reply, TextReply):
        counts = reply.completion.get("usage") or {}
        return Usage(counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0))
    return reply.spent.used
