"""encoder/1: a transformer encoder with a linear head, one ONNX graph, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from nanosmith.predict.embed import Floats1d, no_embeddings
from nanosmith.predict.local import LocalPredictor
from nanosmith.store.bundles import Bundle

GRAPH_FILE = "model.onnx"
INPUT, OUTPUT, EMBEDDING = "input_ids", "logits", "embedding"


def open_session(path: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session. The arena is off: one row at a time gains nothing from it, and memory stays flat."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class EncoderPredictor(LocalPredictor):
    """The graph takes `input_ids` int64 (1, T), without padding, and gives `logits` float32 (1, L) and `embedding`
    float32 (1, D) of length 1. Bundles of 0.1.0 have no `embedding`; a bundle that only embeds has no `logits`."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        self._session = open_session(str(bundle.file(GRAPH_FILE)), threads)
        self.width = next((out.shape[1] for out in self._session.get_outputs() if out.name == EMBEDDING), 0)

    def logits(self, ids: Sequence[int]) -> Floats1d:
        return self._run(OUTPUT, ids)

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        logits, vectors = self._session.run([OUTPUT, EMBEDDING], {INPUT: np.asarray([ids], dtype=np.int64)})
        return logits[0], vectors[0]

    def vector(self, ids: Sequence[int]) -> Floats1d:
        if not self.width:
            raise no_embeddings(self.name)
        return self._run(EMBEDDING, ids)

    def _run(self, output: str, ids: Sequence[int]) -> Floats1d:
        found: Floats1d = self._session.run([output], {INPUT: np.asarray([ids], dtype=np.int64)})[0][0]
        return found
