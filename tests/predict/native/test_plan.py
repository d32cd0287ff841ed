from __future__ import annotations

import pytest
from tests.predict.native.conftest import CODES, LABELS, TAGS, Write

from nanosmith.predict.native.onnx_file import read_graph
from nanosmith.predict.native.plan import plan_of
from nanosmith.predict.native.walk import UnknownGraph
from nanosmith.recipes.parts.graph import Mode


def test_knows_all_kinds(write: Write) -> None:
    """Classifiers, records, segments and embedders are known, with the outputs that they have."""
    width = 64
    outputs = {
        "choice": {"logits": LABELS, "embedding": width},
        "record": {"logits": LABELS, "tags": TAGS, "embedding": width},
        "segments": {"logits": LABELS, "tags": TAGS, "tokens": width, "embedding": width},
        "embedder": {"embedding": width},
    }
    for kind, wanted in outputs.items():
        plan = plan_of(read_graph(write(kind=kind)))
        assert plan.outputs == wanted
        assert (plan.codes is not None and len(plan.codes) == CODES) == (kind == "record")


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_knows_nothing_else(mode: Mode, write: Write) -> None:
    """A graph that lacks a node, has another operator, attribute or order, or is wired in another way is unknown."""
    graph = read_graph(write(kind="segments", mode=mode))
    for place, node in enumerate(graph.nodes):
        without = graph.nodes[:place] + graph.nodes[place + 1 :]
        changed = [
            node._replace(op="Neg"),
            node._replace(inputs=(*node.inputs[:-1], "other")),
            node._replace(outputs=("elsewhere", *node.outputs[1:])),
        ]
        for nodes in (without, *([*graph.nodes[:place], one, *graph.nodes[place + 1 :]] for one in changed)):
            with pytest.raises(UnknownGraph):
                plan_of(graph._replace(nodes=nodes))
