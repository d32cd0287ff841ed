"""How many tokens a second a decoder is trained on, by how many answers share a row.

    python -m bench.decoder_training FILE [--base smollm2-135m] [--threads 1]

Seconds are of this process's processors, so that other work on the machine counts little; forward and backward pass of
the first two steps of each kind, the faster of two runs of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nanosmith.data.load import load
from nanosmith.recipes.base_folder import find_decoder
from nanosmith.recipes.parts.chat import sample_of
from nanosmith.recipes.parts.decoder import Decoder
from nanosmith.recipes.parts.decoder_batches import Group, Layout, grouped, steps_of
from nanosmith.recipes.parts.decoder_forward import answer_logits
from nanosmith.store.home import open_home

SHARED = (1, 4, 8)
ANSWERS = 24
MAX_TOKENS = 1_024


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    decoder = Decoder(find_decoder(given.base, open_home().cache))
    examples = load(given.file, kind="text").examples
    samples = [sample_of(decoder.chat, one.messages, one.answer, 1.0, MAX_TOKENS) for one in examples]
    core = decoder.new_model(0).get_base_model()
    for shared in SHARED:
        random = np.random.default_rng(0)
        groups = grouped(samples, random, shared)
        print(f"up to {shared} answers per row: {sum(group.tokens for group in groups):,} tokens per pass")
        for step in steps_of(groups, ANSWERS, random)[:2]:
            seconds, tokens, learnt = _timed(core, step, decoder.dtype)
            print(f"  {tokens:,} tokens: {tokens / seconds:.0f} tokens/s, {learnt / seconds:.0f} learnt/s")


def _timed(core: Any, step: Sequence[Group], dtype: torch.dtype) -> tuple[float, int, int]:
    """Seconds, tokens, and how many of them are learnt."""
    best = float("inf")
    for _ in range(2):
        began = time.process_time()
        layout = Layout(step)
        functional.cross_entropy(answer_logits(core, layout, dtype), layout.targets).backward()
        best = min(best, time.process_time() - began)
    return best, layout.tokens, len(layout.targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training speed of decoders.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
