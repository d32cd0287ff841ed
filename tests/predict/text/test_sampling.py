"""Drawing tokens, stop texts and growing characters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.generation import Sampling, TokenLogprob
from nanosmith.predict.log_softmax import log_softmax
from nanosmith.predict.text.prefixes import BLOCK, Prefixes, block_keys
from nanosmith.predict.text.sampling import Sampler, likeliest
from nanosmith.predict.text.stops import StopTexts
from nanosmith.predict.text.vocabulary import Growing

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))


def drawn(sampling: Sampling, count: int = 4_000) -> dict[int, float]:
    """Shares of tokens, each drawn as the first of an answer."""
    found = Counter()
    for seed in range(count):
        found[
            Sampler(Sampling(**{f: getattr(sampling, f) for f in ("temperature", "top_p")}, seed=seed), 4).draw(LOGITS)
        ] += 1
    return {token: times / count for token, times in found.items()}


def test_shares_follow_the_probabilities() -> None:
    """At temperature 1 tokens come as often as they are likely; a lower one sharpens, top_p cuts the tail."""
    plain = drawn(Sampling())
    assert plain[0] == pytest.approx(0.5, abs=0.04)
    assert plain[3] == pytest.approx(0.05, abs=0.02)
    assert drawn(Sampling(temperature=0.5))[0] == pytest.approx(0.25 / 0.365, abs=0.04)
    assert set(drawn(Sampling(top_p=0.7))) == {0, 1}
    assert drawn(Sampling(top_p=0.7))[0] == pytest.approx(0.625, abs=0.04)


def test_penalties_and_bias() -> None:
    """A written token loses once what presence costs and each time what frequency costs; a bias moves a token."""
    greedy = Sampler(Sampling(temperature=0.0, presence_penalty=1.0), 4)
    assert [greedy.draw(LOGITS) for _ in range(4)] == [0, 1, 0, 0]
    assert Sampler(Sampling(temperature=0.0, logit_bias={3: 100.0}), 4).draw(LOGITS) == 3
    often = Sampler(Sampling(temperature=0.0, frequency_penalty=2.0), 4)
    assert len({often.draw(LOGITS) for _ in range(4)}) > 2
    with pytest.raises(InputError):
        Sampler(Sampling(logit_bias={4: 1.0}), 4)


def test_only_what_is_allowed() -> None:
    """A grammar's mask leaves no other token."""
    allowed = np.array([False, False, True, False])
    assert {Sampler(Sampling(seed=seed), 4).draw(LOGITS, allowed) for seed in range(20)} == {2}


def test_the_likeliest_that_is_allowed() -> None:
    """At temperature 0 a mask changes nothing where the likeliest may come, and else gives the next that may."""
    greedy = Sampler(Sampling(temperature=0.0), 4)
    assert greedy.draw(LOGITS, np.array([True, False, True, False] * 2)) == 0
    assert greedy.draw(LOGITS, np.array([False, False, True, True] * 2)) == 2


def test_a_large_vocabulary() -> None:
    """The smallest set of likeliest tokens is that of a whole sort, and rows of the vocabulary are drawn from by their
    shares."""
    logits = np.random.default_rng(0).normal(0, 3, 5_000).astype(np.float32)
    shares = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
    order = np.argsort(-shares)
    for top_p in (0.1, 0.9, 0.999):
        kept = set(order[: int(np.searchsorted(np.cumsum(shares[order]), top_p)) + 1].tolist())
        drawn = {Sampler(Sampling(top_p=top_p, seed=seed), 5_000).draw(logits) for seed in range(300)}
        assert drawn <= kept
    tokens = [Sampler(Sampling(seed=seed), 5_000).draw(logits) for seed in range(3_000)]
    assert np.mean(np.array(tokens) < 1_000) == pytest.approx(shares[:1_000].sum(), abs=0.03)
    assert np.mean(np.isin(tokens, order[:50])) == pytest.approx(shares[order[:50]].sum(), abs=0.03)


def test_nearly_no_temperature() -> None:
    """However small it is, the likeliest comes."""
    assert {Sampler(Sampling(temperature=1e-300, seed=seed), 4).draw(LOGITS) for seed in range(5)} == {0}


def test_log_probabilities() -> None:
    """They are natural logs that sum to 1, also for far tokens; the likeliest come first."""
    logits = np.array([1e4, 1e4 - 1, -1e4, 3.0], dtype=np.float32)
    found = log_softmax(logits)
    assert np.exp(found.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)
    assert likeliest(found, 2) == [0, 1]
    assert likeliest(found, 0) == []
    assert len(likeliest(found, 20)) == 4


def test_stop_texts_over_token_borders() -> None:
    """What may begin a stop text is held back, let go of when it does not, and never shown when it does."""
    stops = StopTexts(("END", "\n\n"))
    shown = [stops.add(part)[0] for part in ("a E", "N", "x\n", "b", "E", "ND more")]
    assert shown == ["a ", "", "ENx", "\nb", "", ""]
    assert stops.found
    assert stops.rest() == ("", ())


def test_logprobs_come_with_their_text() -> None:
    """A token's logprob is shown with the text that it begins in, and not at all within a stop text."""
    tokens = [TokenLogprob(text, text.encode(), -1.0) for text in ("ab", "S", "T", "c", "STOP")]
    stops = StopTexts(("STOP",))
    shown = [stops.add(token.text, token)[1] for token in tokens]
    assert [[token.text for token in part] for part in shown] == [["ab"], [], [], ["S", "T", "c"], []]
    assert stops.rest() == ("", ())


def test_characters_are_never_cut() -> None:
    """A character appears when its last byte is there."""
    growing = Growing()
    parts = [growing.add(bytes([byte])) for byte in "é🙂".encode()]
    assert parts == ["", "é", "", "", "", "🙂"]


def test_prefix_blocks() -> None:
    """Keys depend on the model and all tokens before; the last token is never in a block; old blocks go first."""
    ids = list(range(3 * BLOCK))
    keys = block_keys("a", ids)
    assert len(keys) == 2
    assert block_keys("a", [*ids, 1])[:2] == keys
    assert block_keys("b", ids)[0] != keys[0]
    assert block_keys("a", [9, *ids[1:]])[1] != keys[1]
    block = np.zeros((2, 1, BLOCK, 4), dtype=np.float32)
    cache = Prefixes(max_bytes=2 * block.nbytes)
    for key in (b"1", b"2", b"1", b"3"):
        cache.get(key)
        cache.keep(key, block)
    assert [cache.get(key) is not None for key in (b"1", b"2", b"3")] == [True, False, True]
    assert cache.bytes == 2 * block.nbytes
