"""decoder/1 on a tiny random Llama: what is written, by whom, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nanosmith.core.errors import Damaged, InputError, TooLong
from nanosmith.core.example import Message
from nanosmith.core.generation import Grammar, Piece, Sampling
from nanosmith.core.task import Task
from nanosmith.predict.decoder import ADAPTER_FILE, DECODER_FILE, GOLDEN_FILE, TEMPLATE_FILE, Decoder, engine_of
from nanosmith.predict.open import open_predictor
from nanosmith.predict.text.graph import _open
from nanosmith.store.bundles import Bundle, open_bundle, seal
from nanosmith.testing.tiny_text import TinyText, manifest

GREEDY = Sampling(max_tokens=24, temperature=0.0)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}, "ok": {"type": "boolean"}},
    "required": ["name", "n", "ok"],
    "additionalProperties": False,
}
LONG = "A prompt that is longer than one block of thirty-two bytes, so that there is something to keep. " * 2


def never() -> bool:
    return False


def written(decoder: Decoder, prompt: str = "Hi", sampling: Sampling = GREEDY) -> tuple[str, Piece]:
    pieces = list(decoder.generate(prompt, sampling, never))
    return "".join(piece.text for piece in pieces), pieces[-1]


def changed(bundle: Bundle, out: Path, name: str, content: bytes) -> Bundle:
    """A copy of a bundle beside its base, with one file replaced, sealed anew."""
    draft = out.with_name(out.name + ".draft")
    shutil.copytree(bundle.path, draft)
    (draft / "manifest.json").unlink()
    (draft / name).write_bytes(content)
    return seal(draft, manifest(out.name, Task(kind="text")), out)


@pytest.fixture(scope="module")
def base(tiny_text: TinyText) -> Decoder:
    return Decoder(tiny_text.base)


@pytest.fixture(scope="module")
def models(tiny_text: TinyText) -> tuple[Decoder, ...]:
    return tuple(Decoder(bundle) for bundle in tiny_text.models)


def test_opens_through_the_registry(tiny_text: TinyText) -> None:
    """A sealed bundle is opened by its manifest's predictor, and two models on a base share one graph."""
    opened = [open_predictor(bundle) for bundle in tiny_text.models]
    assert opened[0].engine._graph is opened[1].engine._graph
    assert opened[0].predict([]) == []
    prediction = opened[0].predict(["Hi"])[0]
    assert prediction.value
    assert prediction.confidence is None


def test_engine_is_told(tiny_text: TinyText, monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes the tokens of a model is known without opening it, and is that of the opened one."""
    bundle = tiny_text.models[0]
    native = Decoder(bundle).engine._graph.native
    assert engine_of(bundle) == (native.engine if native else "onnxruntime")
    monkeypatch.setenv("NANOSMITH_NATIVE", "0")
    assert engine_of(bundle) == "onnxruntime"


def test_graph_is_closed_with_its_last_model(tiny_text: TinyText, tmp_path: Path) -> None:
    """The weights are let go of when no model uses them."""
    shutil.copytree(tiny_text.base.path, tmp_path / "alone")
    alone = Decoder(changed(tiny_text.base, tmp_path / "other", "notes.txt", b"another digest"))
    assert any(graph is alone.engine._graph for graph in _open.values())
    found = id(alone.engine._graph)
    del alone
    assert found not in [id(graph) for graph in _open.values()]


def test_finish_reasons_and_counts(base: Decoder) -> None:
    """`max_tokens` ends an answer with "length" and is counted; a stop text ends it with "stop" and is not shown."""
    text, last = written(base)
    assert (last.finish_reason, last.written_tokens) == ("length", 24)
    assert last.prompt_tokens == len(base.prompt_ids("Hi"))
    stop = text[4:7]
    shorter, end = written(base, sampling=msgspec.structs.replace(GREEDY, stop=(stop, "never there")))
    assert end.finish_reason == "stop"
    assert shorter == text[: text.index(stop)]


def test_an_end_token_ends(base: Decoder) -> None:
    """An answer ends where the model writes its end token."""
    text, last = written(base, sampling=msgspec.structs.replace(GREEDY, logit_bias={0: 100.0}))
    assert (text, last.finish_reason, last.written_tokens) == ("", "stop", 0)


def test_seeds(base: Decoder) -> None:
    """Equal seeds give equal texts, other seeds other ones; a tiny top_p is greedy."""
    drawn = Sampling(max_tokens=24, temperature=1.0, seed=5)
    assert written(base, sampling=drawn) == written(base, sampling=drawn)
    assert written(base, sampling=drawn)[0] != written(base, sampling=msgspec.structs.replace(drawn, seed=6))[0]
    narrow = msgspec.structs.replace(drawn, top_p=1e-6)
    assert written(base, sampling=narrow)[0] == written(base)[0]


def test_logprobs(base: Decoder) -> None:
    """Each token has its log-probability and the likeliest in its place, of which greedy decoding takes the first."""
    pieces = list(base.generate("Hi", msgspec.structs.replace(GREEDY, top_logprobs=3), never))
    tokens = [token for piece in pieces for token in piece.logprobs]
    assert len(tokens) == 24
    assert b"".join(token.utf8 for token in tokens).decode("utf-8", "ignore")[:1]
    for token in tokens:
        assert len(token.top) == 3
        assert token.top[0] == (token.text, token.utf8, token.logprob)
        assert token.logprob <= 0


def test_prefixes_change_no_bit(base: Decoder) -> None:
    """A cached prompt is told, and its answer has the same logits to the last bit."""
    sampling = msgspec.structs.replace(GREEDY, top_logprobs=0)
    prompt = LONG + "once"
    cold, warm = (list(base.generate(prompt, sampling, never)) for _ in range(2))
    assert cold[-1].cached_tokens == 0
    assert warm[-1].cached_tokens >= 160
    assert [p.logprobs for p in cold if p.logprobs] == [p.logprobs for p in warm if p.logprobs]


def test_adapters_at_once_answer_as_alone(base: Decoder, models: tuple[Decoder, ...]) -> None:
    """Interleaved token by token, and from threads, two adapters and the base write what each writes alone."""
    three = [base, *models]
    sampling = msgspec.structs.replace(GREEDY, top_logprobs=0)
    alone = [[p for p in one.generate(LONG, sampling, never) if p.logprobs] for one in three]
    assert len({str(pieces) for pieces in alone}) == 3
    running = [one.generate(LONG, sampling, never) for one in three]
    mixed: list[list[Piece]] = [[], [], []]
    while running_now := [i for i, _ in enumerate(running) if not mixed[i] or mixed[i][-1].finish_reason is None]:
        for i in running_now:
            mixed[i].append(next(running[i]))
    strip = [[(p.text, p.logprobs) for p in pieces if p.logprobs] for pieces in mixed]
    assert strip == [[(p.text, p.logprobs) for p in pieces] for pieces in alone]
    texts: dict[int, str] = {}
    threads = [threading.Thread(target=lambda i=i: texts.update({i: written(three[i], LONG)[0]})) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [texts[i] for i in range(3)] == ["".join(p.text for p in pieces) for pieces in alone]


def test_cancel(base: Decoder) -> None:
    """`stopped` is asked at each token, and ends the answer without a last piece."""
    asked = iter([False, False, False, True, True, True])
    pieces = list(base.generate("Hi", GREEDY, lambda: next(asked)))
    assert len(pieces) <= 4
    assert all(piece.finish_reason is None for piece in pieces)


def test_too_long(base: Decoder) -> None:
    """A prompt that leaves no room for an answer is told with OpenAI's code."""
    with pytest.raises(TooLong, match="maximum context length is 512") as raised:
        next(iter(base.generate("x" * 600, GREEDY, never)))
    assert (raised.value.code, raised.value.param) == ("context_length_exceeded", "messages")


def test_answers_end_with_the_context(base: Decoder) -> None:
    """Without `max_tokens` the context bounds the answer."""
    prompt = "x" * (512 - len(base.prompt_ids("")) - 5)
    _, last = written(base, prompt, Sampling(temperature=0.0))
    assert (last.finish_reason, last.written_tokens) == ("length", 5)


@pytest.mark.parametrize("token", [-1, 100_000])
def test_bias_of_no_token(base: Decoder, token: int) -> None:
    """A token id out of range is an error of the request."""
    with pytest.raises(InputError, match="no token has this id"):
        list(base.generate("Hi", msgspec.structs.replace(GREEDY, logit_bias={token: 1.0}), never))


@pytest.mark.parametrize("max_tokens", [24, 40, 64, 200])
def test_a_schema_is_always_obeyed(base: Decoder, max_tokens: int) -> None:
    """Also where `max_tokens` ends the answer early: it is then completed in time, and said to be cut."""
    for seed in range(3):
        sampling = Sampling(
            max_tokens=max_tokens, temperature=1.0, seed=seed, grammar=Grammar("json_schema", json.dumps(SCHEMA))
        )
        text, last = written(base, sampling=sampling)
        if max_tokens > 24:
            answer = json.loads(text)
            assert [*answer] == ["name", "n", "ok"]
            assert last.written_tokens <= max_tokens
        else:  # fewer than the shortest record needs
            assert last.finish_reason == "length"


def test_regex_and_lark(base: Decoder) -> None:
    """Regular expressions and Lark grammars are obeyed to the end."""
    text, last = written(base, sampling=msgspec.structs.replace(GREEDY, grammar=Grammar("regex", "(yes|no), [0-9]{3}")))
    assert re.fullmatch("(yes|no), [0-9]{3}", text)
    assert last.finish_reason == "stop"
    lark = Grammar("lark", 'start: "<" WORD ">"\nWORD: /[a-z]{1,4}/')
    assert written(base, sampling=msgspec.structs.replace(GREEDY, grammar=lark))[0][0] == "<"


def test_scores_of_answers(base: Decoder, models: tuple[Decoder, ...]) -> None:
    """An answer's score is the sum of its tokens' log-probabilities, however many answers share its beginning."""
    answers = ["refund", "refund now", "login", "r"]
    together = models[0].score_answers("Hi", answers)
    alone = [models[0].score_answers("Hi", [answer])[0] for answer in answers]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert together != base.score_answers("Hi", answers)


def test_labels_are_chosen_by_their_scores(tiny_text: TinyText, tmp_path: Path) -> None:
    """A model of kind `choice` answers the label with the highest score, with probabilities of all."""
    sealed = changed(tiny_text.models[0], tiny_text.base.path.parent / "choice", "notes.txt", b"choice")
    sealed = Bundle(sealed.path, msgspec.structs.replace(sealed.manifest, task=Task("choice", ("login", "refund"))))
    decoder = Decoder(sealed)
    found = decoder.predict(["Hi"])[0]
    scores = decoder.score_answers("Hi", ["login", "refund"])
    assert found.value == ("login", "refund")[int(np.argmax(scores))]
    assert sum(found.probabilities) == pytest.approx(1.0)


def test_an_adapter_of_another_shape(tiny_text: TinyText) -> None:
    """An adapter whose matrices do not fit the base is refused, and so is one with an unknown place."""
    matrices = load_file(tiny_text.models[0].path / ADAPTER_FILE)
    name = next(name for name in sorted(matrices) if name.endswith(".a"))
    for i, wrong in enumerate([{name: matrices[name][:-1]}, {"lora.99.attn.o_proj.a": matrices[name]}]):
        folder = tiny_text.base.path.parent / f"wrong{i}"
        save_file({**matrices, **{k: np.ascontiguousarray(v) for k, v in wrong.items()}}, folder.with_suffix(".file"))
        sealed = changed(tiny_text.models[0], folder, ADAPTER_FILE, folder.with_suffix(".file").read_bytes())
        with pytest.raises(InputError, match="made for another base") as raised:
            Decoder(sealed)
        assert raised.value.code == "adapter_mismatch"


def test_a_base_that_is_another_or_away(tiny_text: TinyText, tmp_path: Path) -> None:
    """A model without its base, or beside another one of that name, says so; a copy inside of it serves as well."""
    shutil.copytree(tiny_text.models[0].path, tmp_path / "moved")
    with pytest.raises(Damaged, match="is not there"):
        Decoder(open_bundle(tmp_path / "moved"))
    name = tiny_text.base.path.name
    other = changed(tiny_text.base, tmp_path / "another", "notes.txt", b"another digest")
    other.path.rename(tmp_path / name)
    with pytest.raises(Damaged, match="tuned on another base"):
        Decoder(open_bundle(tmp_path / "moved"))


def test_truncated_files(tiny_text: TinyText) -> None:
    """A file that was cut short, sealed all the same, is called damaged."""
    for name in (ADAPTER_FILE, DECODER_FILE, GOLDEN_FILE, "tokenizer.json"):
        content = (tiny_text.models[0].path / name).read_bytes()
        folder = tiny_text.base.path.parent / f"cut-{name}"
        with pytest.raises(Damaged):
            Decoder(changed(tiny_text.models[0], folder, name, content[: len(content) // 2]))


def test_golden_cases_are_checked(tiny_text: TinyText) -> None:
    """A chat template that reads messages otherwise than in training is found when the bundle is opened."""
    template = (tiny_text.models[0].path / TEMPLATE_FILE).read_bytes() + b"!"
    folder = tiny_text.base.path.parent / "golden"
    with pytest.raises(Damaged, match="otherwise than in training"):
        Decoder(changed(tiny_text.models[0], folder, TEMPLATE_FILE, template))


def test_messages_make_the_prompt(base: Decoder) -> None:
    """All turns are in the prompt, in their order, and the assistant's turn is opened."""
    prompt = base._template.render([Message("system", "S"), Message("user", "U")])
    assert prompt.index("S") < prompt.index("U") < prompt.index("assistant")
