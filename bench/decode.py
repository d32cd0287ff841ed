"""Tokens per second and time to the first token of one decoder, beside onnxruntime-genai's own loop and llama.cpp.

    taskset -c 0 python bench/decode.py --hf FOLDER [--precision int4] [--gguf FILE] [--tokens 64] [--rounds 5]

FOLDER is a base in transformers' format, FILE the same weights for llama.cpp (needs llama-cpp-python; left out without
it). All contenders read the same prompt, write the same number of tokens at temperature 0, and take turns round by
round, so that a change of the machine's speed hits all of them; medians are printed, with the processor's time of a
token, which other work on the machine changes little. Then, of ours alone: the same with a JSON schema, two adapters at
once against each alone, and the time from asking to stop until the answer has ended. NANOSMITH_NATIVE=0 leaves single
tokens to ONNX Runtime, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from nanosmith.core.generation import Grammar, Piece, Sampling
from nanosmith.predict.decoder import Decoder, usable_cores
from nanosmith.recipes.parts.decoder_export import build
from nanosmith.testing.tiny_text import save_random_adapter, seal_adapter, seal_base

PROMPT = "Write a long description of a restaurant in Paris called The Eagle. It serves French food and is expensive. "
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 60}, "food": {"enum": ["French", "Italian", "Chinese"]},
        "city": {"type": "string", "maxLength": 40}, "price": {"type": "integer"}, "open": {"type": "boolean"},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 80}, "minItems": 3, "maxItems": 6},
    },
    "required": ["name", "food", "city", "price", "open", "notes"],
    "additionalProperties": False,
}  # fmt: skip
Tokens = Callable[[], Iterator[object]]
"""One item per token that was written."""


def never() -> bool:
    return False


def ours(decoder: Decoder, sampling: Sampling) -> Tokens:
    def tokens() -> Iterator[object]:
        decoder.engine.forget_prefixes()  # nothing is cached: the others start cold, too
        for piece in decoder.generate(PROMPT, sampling, never):
            yield from piece.logprobs

    return tokens


def genai(folder: Path, ids: list[int], count: int) -> Tokens:
    """The loop of onnxruntime-genai's examples."""
    import onnxruntime_genai as og

    model = og.Model(str(folder))

    def tokens() -> Iterator[object]:
        params = og.GeneratorParams(model)
        params.set_search_options(max_length=len(ids) + count, do_sample=False)
        generator = og.Generator(model, params)
        generator.append_tokens(ids)
        for _ in range(count):
            generator.generate_next_token()
            yield generator.get_next_tokens()[0]

    return tokens


def llama(file: Path, ids: list[int], count: int) -> Tokens:
    from llama_cpp import Llama

    model = Llama(str(file), n_ctx=1024, n_threads=usable_cores(), verbose=False)

    def tokens() -> Iterator[object]:
        model.reset()
        for i, token in enumerate(model.generate(ids, temp=0.0)):
            if i == count:
                return
            yield token

    return tokens


def timed(tokens: Tokens) -> tuple[float, float, float, int]:
    """Milliseconds to the first token, tokens per second after it, the processor's milliseconds per token (median), and
    how many there were."""
    began = time.perf_counter()
    moments = [(time.perf_counter() - began, time.process_time()) for _ in tokens()]
    (first, _), (last, _) = moments[0], moments[-1]
    busy = statistics.median(later - sooner for (_, sooner), (_, later) in pairwise(moments))
    return 1e3 * first, (len(moments) - 1) / (last - first), 1e3 * busy, len(moments)


def in_turns(contenders: dict[str, Tokens], rounds: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, tokens in contenders.items():
            result = timed(tokens)
            if number:  # the first is to warm up
                found[name].append(result)
    return {
        name: {
            "first_token_ms": round(statistics.median(row[0] for row in rows), 1),
            "tokens_per_s": round(statistics.median(row[1] for row in rows), 1),
            "processor_ms_per_token": round(statistics.median(row[2] for row in rows), 2),
            "tokens": statistics.median(row[3] for row in rows),
        }
        for name, rows in found.items()
    }


def together(decoders: list[Decoder], sampling: Sampling) -> dict[str, object]:
    """Two adapters, token by token in turns, against each alone."""

    def text(pieces: list[Piece]) -> tuple[object, ...]:
        return tuple(piece.logprobs for piece in pieces if piece.logprobs)

    alone = [text(list(one.generate(PROMPT, sampling, never))) for one in decoders]
    running = [one.generate(PROMPT, sampling, never) for one in decoders]
    mixed: list[list[Piece]] = [[] for _ in decoders]
    going = set(range(len(decoders)))
    while going:
        for i in sorted(going):
            piece = next(running[i], None)
            if piece is None:
                going.discard(i)
            else:
                mixed[i].append(piece)
    return {"equal_bits": [text(pieces) for pieces in mixed] == alone, "different_answers": alone[0] != alone[1]}


def stopping(decoder: Decoder, rounds: int) -> float:
    """The longest time in ms from asking to stop until the answer has ended, at any of its steps."""
    worst = 0.0
    for step in range(rounds):
        asked: list[float] = []
        pieces = decoder.generate(
            PROMPT * 10, Sampling(max_tokens=40, temperature=0.0), lambda asked=asked: bool(asked)
        )
        for number, _ in enumerate(pieces):
            if number == step:
                asked.append(time.perf_counter())
        worst = max(worst, time.perf_counter() - asked[0] if asked else 0.0)
    return round(1e3 * worst, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hf", type=Path, required=True)
    parser.add_argument("--precision", default="int4", choices=["int4", "int8", "fp32"])
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    greedy = Sampling(max_tokens=given.tokens, temperature=0.0, top_logprobs=0)
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        base = Decoder(seal_base(given.hf, work, given.precision))
        ids = base.prompt_ids(PROMPT)
        build(given.hf, work / "genai", given.precision)
        schema = Grammar("json_schema", json.dumps(SCHEMA))
        strict = Sampling(max_tokens=200, temperature=0.0, top_logprobs=0, grammar=schema)
        contenders = {
            "nanosmith": ours(base, greedy),
            "onnxruntime-genai": genai(work / "genai", ids, given.tokens),
            "nanosmith, JSON schema": ours(base, strict),
        }
        if given.gguf:
            contenders["llama.cpp"] = llama(given.gguf, ids, given.tokens)
        adapters = [save_random_adapter(given.hf, work / f"peft{i}", seed=i, rank=16) for i in (1, 2)]
        models = [Decoder(seal_adapter(base.bundle, peft, work / f"model{i}")) for i, peft in enumerate(adapters)]
        contenders["nanosmith, with an adapter"] = ours(models[0], greedy)
        found = in_turns(contenders, given.rounds)
        facts = {"precision": given.precision, "prompt_tokens": len(ids), "cores": usable_cores()}
        apart = {"two_adapters": together(models, greedy), "stop_ms": stopping(base, 12), "load": os.getloadavg()[0]}
        print(json.dumps({**facts, "speed": found, **apart}, indent=1))


if __name__ == "__main__":
    main()
