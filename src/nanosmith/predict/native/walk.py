"""A walk through a graph's nodes in order, each of which must be what is expected there."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nanosmith.predict.native.onnx_file import Graph, Node

MS = "com.microsoft."
Array = NDArray[Any]


class UnknownGraph(ValueError):
    """A graph that the kernel does not know; the message says where it is different."""


class Walk:
    """Goes through nodes in order."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._place = graph, 0

    @property
    def at_end(self) -> bool:
        return self._place == len(self._graph.nodes)

    @property
    def last(self) -> Node:
        """The node that was taken last."""
        return self._graph.nodes[self._place - 1]

    @property
    def next(self) -> Node:
        """The node that comes next. Raises UnknownGraph at the end."""
        if self.at_end:
            raise UnknownGraph("the end is where a node is known")
        return self._graph.nodes[self._place]

    def skip(self) -> None:
        """Passes over the next node."""
        self._place += 1

    def next_is(self, op: str) -> bool:
        return not self.at_end and self._graph.nodes[self._place].op == op

    def take(self, op: str, *wanted: str | None) -> tuple[str, list[Array]]:
        """The first output of the next node, and its constants. Its inputs must be the `wanted` names; None stands for
        a constant, "" for one that is left out."""
        if not self.next_is(op):
            found = "the end" if self.at_end else self._graph.nodes[self._place].op
            raise UnknownGraph(f"node {self._place} is {found} where {op} is known")
        node = self._graph.nodes[self._place]
        self._place += 1
        self.expect(len(node.inputs) == len(wanted))
        constants = []
        for name, known in zip(node.inputs, wanted):
            self.expect(name in self._graph.constants if known is None else name == known)
            if known is None:
                constants.append(self._graph.constants[name])
        return node.outputs[0], constants

    def expect(self, holds: bool) -> None:
        if not holds:
            raise UnknownGraph(f"node {self._place - 1} is not as it is known")
