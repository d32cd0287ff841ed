"""encoder/1: a transformer encoder with a linear head, one ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

from nanosmith.predict.embed import Floats1d, no_embeddings
from nanosmith.predict.graph_names import EMBEDDING, GRAPH_FILE, OUTPUT
from nanosmith.predict.graph_session import open_graph
from nanosmith.predict.local import LocalPredictor
from nanosmith.store.bundles import Bundle


class EncoderPredictor(LocalPredictor):
    """The graph takes `input_ids` (1, T), without padding, and gives `logits` float32 (1, L) and `embedding`
    float32 (1, D) of length 1. Bundles of 0.1.0 have no `embedding`; a bundle that only embeds has no `logits`."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        super().__init__(bundle, threads=threads)
        self._graph = open_graph(bundle.file(GRAPH_FILE), threads)
        self.engine = self._graph.engine
        self.width = self._graph.outputs.get(EMBEDDING, 0)

    def logits(self, ids: Sequence[int]) -> Floats1d:
        return self._graph.run([OUTPUT], [ids])[0][0]

    def both(self, ids: Sequence[int]) -> tuple[Floats1d, Floats1d]:
        logits, vector = self._graph.run([OUTPUT, EMBEDDING], [ids])[0]
        return logits, vector

    def vector(self, ids: Sequence[int]) -> Floats1d:
        if not self.width:
            raise no_embeddings(self.name)
        return self._graph.run([EMBEDDING], [ids])[0][0]
