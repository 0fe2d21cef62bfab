"""An evaluation of an operator after the compiler pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

from jetbench.errors import Unsupported
from jetbench.torch._compat import pytree, undisturbed, unseen
from jetbench.torch.exhaustion import is_out_of_memory
from jetbench.torch.program import REMEMBERED, GraphEvaluation
from jetbench.torch.propagate import Graph
from jetbench.torch.rewriting.function import collapse_graph


class Rewritten(GraphEvaluation):
    """Another evaluation, collapsed once for each thing that the network does to x."""

    def __init__(self, original: Any) -> None:
        super().__init__(original.net, original.problem)
        self.original = original
        self._collapsed: OrderedDict[tuple, tuple[fx.GraphModule, pytree.TreeSpec]] = OrderedDict()

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_collapsed": OrderedDict()}

    def through(
        self, graph: Graph, constants: Sequence[Tensor], x: Tensor, draws: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        key = (graph, x.dtype, tuple(tuple(draw.shape) for draw in draws))
        if key not in self._collapsed:
            self._collapsed[key] = self._collapse(graph, [x, *draws, *constants])
            if len(self._collapsed) > REMEMBERED:
                self._collapsed.popitem(last=False)
        self._collapsed.move_to_end(key)
        module, structure = self._collapsed[key]
        return pytree.tree_unflatten(module.forward(x, *draws, *constants), structure)

    def _collapse(self, graph: Graph, tensors: Sequence[Tensor]) -> tuple[fx.GraphModule, pytree.TreeSpec]:
        count = len(tensors) - graph.constants
        structures: list[pytree.TreeSpec] = []

        def run(x: Tensor, *others: Tensor) -> tuple:
            found = self.original.through(graph, others[count - 1 :], x, others[: count - 1])
            leaves, structure = pytree.tree_flatten(found)
            structures.append(structure)
            return tuple(leaves)

        try:
            with undisturbed(), unseen():
                module, _ = collapse_graph(run, tensors)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise Unsupported(
                f"PyTorch cannot differentiate this network as this method does: {error} Use a method that propagates "
                "jets, such as collapsed."
            ) from error
        return module, structures[-1]
