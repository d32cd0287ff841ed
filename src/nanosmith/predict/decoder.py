"""decoder/1: a decoder that writes text, one base for many models.

A base is a sealed bundle of its own, made once per weights and precision, and kept beside the models on it:

    bundles/base-<first 12 of its model digest>/
        manifest.json          predictor decoder/1, kind text; notes["precision"]
        model.onnx             the graph: input_ids (1, S), attention_mask (1, T), past_key_values.N.key|value,
                               rows (K: which tokens' logits are wanted, the last one unless said otherwise), and
                               lora.LAYER.PLACE.a (in, rank) and .b (rank, out): an adapter's matrices, of rank 0 unless
                               given; gives logits (1, K, V) and present.N.key|value
        model.onnx.data        its weights
        decoder.json           DecoderFile; `base` null
        tokenizer.json, chat_template.jinja
        golden.json            GoldenCase list: messages, the prompt that transformers makes of them, its ids

A fine-tuned model's bundle holds what differs:

    adapter.safetensors        the matrices by their names in the graph, scaled, float32
    decoder.json               DecoderFile; `base` names the base's model digest
    tokenizer.json, chat_template.jinja, golden.json

Its base is looked for in `base/` inside of it (a copy that needs nothing else), then beside it. What the golden cases
say is checked when a bundle is opened: a template or a tokenizer that would read otherwise than in training is
found before the first answer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Input, Message, as_messages
from nanosmith.core.generation import Grammar, Piece, Sampling, Stopped
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.predict.grammar import Compiling
from nanosmith.predict.graph_session import OnnxSession
from nanosmith.predict.local import TOKENIZER_FILE, softmax
from nanosmith.predict.native.decoder import open_native_decoder
from nanosmith.predict.text.engine import DecoderEngine
from nanosmith.predict.text.graph import GRAPH_FILE, REMEDY, DecoderGraph, Floats, check_adapter, shared_graph
from nanosmith.predict.text.vocabulary import Vocabulary
from nanosmith.store.bundles import Bundle, open_bundle

if TYPE_CHECKING:
    from nanosmith.predict.text.chat_template import ChatTemplate

DECODER_FILE = "decoder.json"
TEMPLATE_FILE = "chat_template.jinja"
GOLDEN_FILE = "golden.json"
ADAPTER_FILE = "adapter.safetensors"
INNER_BASE = "base"
MAX_PREDICTED_TOKENS = 512
"""Of an answer that nobody set a limit for: evaluations would wait for an endless one."""
Decoded = TypeVar("Decoded")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns [start, end) of a layer of the graph are those from `first` on of `layer`, its name in a block of
    transformers."""

    layer: str
    start: int
    end: int
    first: int = 0


class DecoderFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base` is the model digest of the base's bundle, None in the base itself; `ends` are ids of tokens that end an
    answer; `special` the texts that the chat template may name (`bos_token`, `eos_token`); `places`, of a base, are the
    parts of each of the graph's linear layers by its name there."""

    base: str | None
    ends: tuple[int, ...]
    special: dict[str, str] = {}
    places: dict[str, tuple[Part, ...]] = {}


class GoldenCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages, the prompt that they make, and its ids."""

    messages: tuple[Message, ...]
    prompt: str
    ids: tuple[int, ...]


class Decoder:
    """A Generator over a bundle. Models on one base share its weights, its thread of work and its cache of prefixes.

    Memory: the weights once, an adapter's file for each model, `bytes_per_token` for each token of each answer in
    progress, and up to 256 MiB of prefixes.
    """

    is_quick = False

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.name: str = manifest.name
        self.task: Task = manifest.task
        self.max_tokens: int = manifest.max_tokens
        self._calibration = manifest.calibration
        form = _decoded(bundle.file(DECODER_FILE), DecoderFile)
        base = _base_of(bundle, form)
        graph = shared_graph(base.path, base.manifest.model_digest, threads=max(threads, usable_cores()))
        self._vocabulary = Vocabulary(bundle.file(TOKENIZER_FILE))
        self._template = _template(bundle, form)
        self._check_golden()
        self.engine = DecoderEngine(
            graph,
            self._vocabulary,
            model=manifest.model_digest,
            adapter=_adapter(bundle, graph),
            ends=_checked_ends(form, graph, bundle),
            context=self.max_tokens,
        )

    def prompt_ids(self, given: Input) -> list[int]:
        """Raises InputError where the chat template refuses the messages."""
        return self._vocabulary.ids(self._template.render(as_messages(given)))

    def generate(self, given: Input, sampling: Sampling, stopped: Stopped) -> Iterator[Piece]:
        """See `Generator`; a piece without text is a step of reading or waiting, so that others may take their turn.

        Temperature 0 gives the same bits whatever else goes on. Where a grammar's text would not be complete within
        `max_tokens`, it is completed in time, and its `finish_reason` is "length".
        """
        yield from self.engine.generate(self.prompt_ids(given), sampling, stopped)

    def prepare(self, grammar: Grammar) -> Compiling:
        """Begins to compile a grammar on a thread of its own; `generate` then finds it ready. Raises InputError."""
        return self.engine.prepare(grammar)

    def score_answers(self, given: Input, answers: Sequence[str]) -> list[float]:
        """The log-probability of each answer, its end included. Raises TooLong, InputError."""
        return self.engine.score(self.prompt_ids(given), [self._vocabulary.ids(answer) for answer in answers])

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """The likeliest answer of each input, token by token; for `choice`, the label likeliest as a whole.

        The confidence of a text is the geometric mean of its tokens' probabilities, once the bundle is calibrated.
        """
        return [self._chosen(given) if self.task.kind == "choice" else self._written(given) for given in inputs]

    def _chosen(self, given: Input) -> Prediction:
        scores = self.score_answers(given, [self.task.render(label) for label in self.task.labels])
        probabilities = softmax(scores, self._calibration.temperature)
        best = max(probabilities)
        return Prediction(
            value=self.task.labels[probabilities.index(best)],
            confidence=best if self._calibration.examples else None,
            labels=self.task.labels,
            probabilities=tuple(probabilities),
            by=self.name,
            tokens=len(self.prompt_ids(given)),
        )

    def _written(self, given: Input) -> Prediction:
        sampling = Sampling(
            max_tokens=MAX_PREDICTED_TOKENS, temperature=0.0, top_logprobs=0, grammar=record_grammar(self.task)
        )
        pieces = list(self.generate(given, sampling, lambda: False))
        logprobs = [token.logprob for piece in pieces for token in piece.logprobs]
        mean = math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0
        return Prediction(
            value=self.task.parse("".join(piece.text for piece in pieces)),
            confidence=mean ** (1 / self._calibration.temperature) if self._calibration.examples else None,
            labels=(),
            probabilities=(),
            by=self.name,
            tokens=pieces[-1].prompt_tokens,
        )

    def _check_golden(self) -> None:
        file = self.bundle.file(GOLDEN_FILE)
        for case in _decoded(file, list[GoldenCase]):
            prompt = self._template.render(case.messages)
            if prompt != case.prompt or tuple(self._vocabulary.ids(prompt)) != case.ids:
                raise Damaged(
                    "the chat template or the tokenizer reads messages otherwise than in training",
                    where=str(file), got=repr(prompt[:200]), allowed=repr(case.prompt[:200]), remedy=REMEDY,
                )  # fmt: skip


def engine_of(bundle: Bundle) -> str:
    """What would compute the tokens here; prompts are ONNX Runtime's everywhere. Raises Damaged."""
    base = _base_of(bundle, _decoded(bundle.file(DECODER_FILE), DecoderFile))
    native = open_native_decoder(base.path / GRAPH_FILE, threads=1)
    return native.engine if native else OnnxSession.engine


def _base_of(bundle: Bundle, form: DecoderFile) -> Bundle:
    return bundle if form.base is None else find_base(bundle, form.base)


def find_base(bundle: Bundle, digest: str) -> Bundle:
    """The base's bundle, checked. Raises Damaged where it is not there or another one."""
    beside = bundle.path.parent / base_name(digest)
    folder = next((path for path in (bundle.path / INNER_BASE, beside) if path.is_dir()), None)
    if folder is None:
        raise Damaged(
            "the base model that this one was tuned on is not there",
            where=str(bundle.path), allowed=f"a folder {INNER_BASE} inside of it, or {beside.name} beside it",
            remedy="Copy the base's folder there too.", code="base_missing",
        )  # fmt: skip
    base = open_bundle(folder)
    if base.manifest.model_digest != digest:
        raise Damaged(
            "the model was tuned on another base",
            where=str(folder), got=base.manifest.model_digest, allowed=digest, remedy=REMEDY, code="adapter_mismatch",
        )  # fmt: skip
    return base


def base_name(digest: str) -> str:
    """The folder of a base, by its model digest."""
    return f"base-{digest[:12]}"


def usable_cores() -> int:
    """How many this process may use: one token at a time is all that a base computes, so it may have them all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def record_grammar(task: Task) -> Grammar | None:
    """What every answer of a record task obeys."""
    if task.kind != "record" or task.record is None or not task.record.schema:
        return None
    return Grammar("json_schema", msgspec.json.encode(task.record.schema).decode())


def _adapter(bundle: Bundle, graph: DecoderGraph) -> dict[str, Floats]:
    if ADAPTER_FILE not in bundle.manifest.files:
        return {}
    from safetensors.numpy import load_file

    file = bundle.file(ADAPTER_FILE)
    try:
        adapter: dict[str, Floats] = load_file(file)
    except Exception as error:  # safetensors raises its own class for each fault
        raise Damaged(f"the adapter cannot be read: {error}", where=str(file), remedy=REMEDY) from error
    check_adapter(graph, adapter, str(file))
    return adapter


def _checked_ends(form: DecoderFile, graph: DecoderGraph, bundle: Bundle) -> tuple[int, ...]:
    if not form.ends or not all(0 <= token < graph.vocabulary for token in form.ends):
        raise Damaged(
            "the tokens that end an answer are not in the vocabulary",
            where=str(bundle.file(DECODER_FILE)), got=list(form.ends), allowed=f"0 to {graph.vocabulary - 1}",
            remedy=REMEDY,
        )  # fmt: skip
    return form.ends


def _template(bundle: Bundle, form: DecoderFile) -> ChatTemplate:
    from nanosmith.predict.text.chat_template import ChatTemplate

    file = bundle.file(TEMPLATE_FILE)
    return ChatTemplate(_text(file), form.special, where=file.name)


def _decoded(file: Path, type: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(_text(file), type=type)
    except msgspec.DecodeError as error:
        raise Damaged(f"not what belongs there: {error}", where=str(file), remedy=REMEDY) from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"a file cannot be read: {error}", where=str(file), remedy=REMEDY) from error
