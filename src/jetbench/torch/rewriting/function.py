"""`collapse` for PyTorch functions, and the backend "jetbench" of `torch.compile`."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch.fx._lazy_graph_module import _LazyGraphModule

from jetbench.collapse.explain import Explanation
from jetbench.collapse.pull import collapse as pull_up
from jetbench.errors import JetbenchError
from jetbench.torch._compat import undisturbed
from jetbench.torch.program import REMEMBERED, Program, lift
from jetbench.torch.rewriting.contents import fingerprint, settings, unchanged
from jetbench.torch.rewriting.emit import Emission
from jetbench.torch.rewriting.lower import Lowering
from jetbench.torch.rewriting.trace import trace


@dataclass
class Collapsed:
    """A collapsed program for inputs of certain shapes, with what the pass has to tell about it."""

    program: Program
    structure: pytree.TreeSpec
    explanation: Explanation


def collapse_graph(
    function: Callable[..., Sequence[object]], examples: Sequence[Tensor]
) -> tuple[fx.GraphModule, Explanation]:
    """Trace a function from tensors to a tuple, collapse it, and write it as a graph of ATen operations."""
    module = trace(function, examples)
    device = examples[0].device if examples else torch.device("cpu")
    lowered = Lowering(module, device)
    result = pull_up(lowered.builder, lowered.outputs)
    emitted = Emission(lowered.structure, result.outputs, examples, device).module
    return emitted, Explanation(lowered.outputs, result)


def _described(tensor: Tensor) -> tuple:
    return ("tensor", tuple(len(range(n)) for n in tensor.shape), tensor.dtype, tensor.device)


def _is_description(leaf: object) -> bool:
    return isinstance(leaf, tuple) and leaf[:1] == ("tensor",)


class CollapsedFunction:
    """What `collapse` returns: called as the function itself.

    Attributes:
        function: the original one.
    """

    def __init__(self, function: Callable, explain: bool) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self._explains = function, explain
        self._known: OrderedDict[tuple, Collapsed] = OrderedDict()
        self._programs: list[Collapsed] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if torch.compiler.is_dynamo_compiling():
            # a length is a plain number, also for an axis that the compiler holds for dynamic
            leaves = [_described(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            places = pytree.tree_unflatten(range(len(leaves)), structure)
            found = self._programs[self._trace(places, tuple(leaves))]
        else:
            found = self._collapsed(leaves, structure)
        values = found.program.run(*tensors, *[getattr(module, name) for module, name in found.program.places])
        return values[0] if found.structure.is_leaf() else pytree.tree_unflatten(values, found.structure)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What the pass does for these arguments: print it, or draw it with its `draw`."""
        return self._collapsed(*pytree.tree_flatten((args, kwargs))).explanation

    @torch._dynamo.assume_constant_result
    def _trace(self, places: Any, leaves: tuple) -> int:
        """Make the program while `torch.compile` traces; its place in the list.

        `places` has the structure of the arguments, with the place of each leaf; tensors are described, as a compiler
        has none at hand.
        """
        made = [
            torch.empty(leaf[1], dtype=leaf[2], device=leaf[3]) if _is_description(leaf) else leaf for leaf in leaves
        ]
        self._programs.append(self._collapsed(made, pytree.tree_structure(places)))
        return len(self._programs) - 1

    def _collapsed(self, leaves: list, structure: pytree.TreeSpec) -> Collapsed:
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        others = tuple(None if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        described = tuple((tuple(t.shape), t.dtype, t.device) for t in tensors)
        key = (str(structure), repr(others), described, fingerprint(self.function))
        if key not in self._known:
            self._known[key] = self._make(leaves, structure)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            if self._explains:
                print(self._known[key].explanation)
        self._known.move_to_end(key)
        return self._known[key]

    def _make(self, leaves: list, structure: pytree.TreeSpec) -> Collapsed:
        returned: list[pytree.TreeSpec] = []

        def flat(*tensors: Tensor) -> tuple:
            given = iter(tensors)
            filled = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            args, kwargs = pytree.tree_unflatten(filled, structure)
            values, spec = pytree.tree_flatten(self.function(*args, **kwargs))
            returned.append(spec)
            return tuple(values)

        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        with undisturbed(), unchanged(self.function):
            try:
                module, explanation = collapse_graph(flat, tensors)
            except JetbenchError:
                raise
            except Exception as error:
                name = getattr(self.function, "__name__", type(self.function).__name__)
                shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
                raise JetbenchError(
                    f"collapse could not trace {name} for tensors of shapes {shapes}: {type(error).__name__}: {error}"
                ) from error
        places = lift(module, self.function)
        _LazyGraphModule.force_recompile(module)
        return Collapsed(Program(module, places, settings(self.function)), returned[-1], explanation)


def collapse(function: Callable, explain: bool = False) -> CollapsedFunction:
    """The same function with sums pulled up through what is linear in them, where that saves operations.

    For a sum of derivatives along many directions, such as
    ``vmap(lambda v: jvp(lambda y: jvp(f, (y,), (v,))[1], (x,), (v,))[1])(eye).sum(0)``, that is the rewrite of Taylor
    mode to collapsed Taylor mode: D + 2 instead of 1 + 3·D vectors pass through f for its Laplacian. The trace of
    ``jacfwd(jacfwd(f))(x)`` comes out at the same. The function is traced once for each shape and type of its
    arguments; its result is the same up to rounding.

    Args:
        function: of tensors (also in tuples, lists and dictionaries) and plain values; it may use `torch.func`.
        explain: print what the pass did, each time that it is traced.

    Returns:
        A function that is differentiable, and to which `torch.compile` and `torch.func` apply. Its method `explain`
        tells what was done for given arguments.

    Raises:
        JetbenchError: when called, if the function cannot be traced, with the reason.
    """
    if not callable(function):
        raise TypeError(f"collapse takes a function; got {type(function).__name__}.")
    return CollapsedFunction(function, explain)


def backend(module: fx.GraphModule, examples: Sequence[Any], **options: Any) -> Callable:
    """`torch.compile(fn, backend="jetbench")`: collapse, then Inductor; what cannot be collapsed goes to Inductor."""
    from torch._inductor.compile_fx import compile_fx

    if all(isinstance(example, Tensor) for example in examples):
        found, _ = collapse_graph(lambda *tensors: tuple(pytree.tree_leaves(module(*tensors))), examples)
        found.recompile()
        module = found
    return compile_fx(module, list(examples), **options)
