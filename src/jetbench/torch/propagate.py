"""Running a captured network on jets."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Sequence

from torch import Tensor, fx

from jetbench.torch.capture import Graph
from jetbench.torch.jet import Jet
from jetbench.torch.rules import RULES


def propagate(captured: Graph, x: Jet, constants: Sequence[Tensor]) -> Jet | Tensor:
    """The jet of the network at the jet of x; a tensor where the network does not depend on x.

    `constants` are the tensors of the graph's constants, in their order.
    Values are dropped after their last use, so that a layer's jet is freed when the next one has been computed.
    """
    values: dict[fx.Node, object] = {}
    tensors = dict(zip(captured.constants, constants, strict=True))
    result: object = None
    for node in captured.graph.nodes:
        if node.op == "placeholder":
            values[node] = x
        elif node.op == "get_attr":
            values[node] = tensors[node.target]
        elif node.op == "output":
            (result,) = fx.map_arg(node.args, values.__getitem__)
        else:
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = _call(node, args, kwargs, node in captured.dependent)
        for dead in captured.last_use.get(node, ()):
            values.pop(dead, None)
    return result


def _call(node: fx.Node, args: tuple, kwargs: dict, dependent: bool) -> object:
    if node.target is python_operator.getitem:
        return args[0][args[1]]
    if dependent and any(_has_jet(value) for value in (*args, *kwargs.values())):
        return RULES[node.target](*args, **kwargs)
    return node.target(*args, **kwargs)


def _has_jet(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, Jet) for item in value)
    return isinstance(value, Jet)
