"""`collapse` for PyTorch functions, and the backend "jetbench" of `torch.compile`."""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from jetbench.collapse.explain import Explanation
from jetbench.collapse.pull import collapse as pull_up
from jetbench.errors import JetbenchError
from jetbench.torch._compat import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    LazyGraphModule,
    functorch,
    inductor,
    pytree,
)
from jetbench.torch.rewriting import ambient
from jetbench.torch.rewriting.contents import PLAIN, Contents
from jetbench.torch.rewriting.emit import Emission
from jetbench.torch.rewriting.lower import Lowering, dtype_name
from jetbench.torch.rewriting.outside import DEPENDENT, WRAPPED, Conditions, Entangled, Outside, is_dependent
from jetbench.torch.rewriting.restored import Restored, items
from jetbench.torch.rewriting.trace import trace
from jetbench.torch.threads import alone

MOST_KEPT = 64


@dataclass
class Collapsed:
    """A collapsed program for inputs of certain shapes, with what the pass has to tell about it.

    Attributes:
        run: takes the tensors that the program reads.
        places: of these tensors, in the contents of the call.
        conditions: for these tensors, under which it may be run.
        structure: of what the function returns.
        explanation: what the pass did.
        settings: holder, name and value of what compiled code is to look at.
        sources: holder and name of the tensors that it takes besides its arguments.
    """

    run: Callable[..., tuple]
    places: tuple[int, ...]
    conditions: Conditions
    structure: pytree.TreeSpec
    explanation: Explanation
    settings: tuple[tuple[object, Any, object], ...] = ()
    sources: tuple[tuple[object, Any], ...] = ()

    def taken(self, contents: Contents) -> list[Tensor]:
        """The tensors that `run` takes."""
        return [contents.tensors[place] for place in self.places]

    def returned(self, values: tuple) -> Any:
        """The result of `run` in the structure in which the function returns it."""
        return values[0] if self.structure.is_leaf() else pytree.tree_unflatten(values, self.structure)


def _rewritten(
    function: Callable[..., Sequence[object]], examples: Sequence[Tensor], known: Sequence[Tensor] = ()
) -> tuple[fx.GraphModule, Explanation, Outside]:
    """A program that takes the tensors of `Outside`, the examples first."""
    traced = trace(function, examples, known)
    outside = traced.outside.tensors
    device = examples[0].device if examples else outside[0].device if outside else torch.device("cpu")
    lowered = Lowering(traced.module, device, len(examples))
    effects = [value for _, value in lowered.effects]
    result = pull_up(lowered.builder, (*lowered.outputs, *effects))
    new, changed = result.outputs[: len(lowered.outputs)], result.outputs[len(lowered.outputs) :]
    places = [place for place, _ in lowered.effects]
    traced.outside.changes(places)
    emission = Emission(lowered.structure, new, list(zip(places, changed, strict=True)), len(outside), device)
    return emission.module, Explanation(lowered.outputs, result), traced.outside


def collapse_graph(
    function: Callable[..., Sequence[object]], examples: Sequence[Tensor]
) -> tuple[fx.GraphModule, Explanation]:
    """Trace a function from tensors to a tuple, collapse it, and write it as a graph of ATen operations.

    Tensors that the function closes over become parts of the module.
    """
    examples = [t if all(t is not other for other in examples[:i]) else t.view_as(t) for i, t in enumerate(examples)]
    module, explanation, outside = _rewritten(function, examples)
    return _bound(module, dict(enumerate(outside.tensors[len(examples) :], len(examples)))), explanation


def _bound(module: fx.GraphModule, tensors: dict[int, Tensor]) -> fx.GraphModule:
    """The module with some of its inputs as parts of it."""
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    first = next(node for node in module.graph.nodes if node.op != "placeholder")
    for position, tensor in tensors.items():
        name, node = f"outside_{position}", placeholders[position]
        if isinstance(tensor, nn.Parameter):
            module.register_parameter(name, tensor)
        else:
            module.register_buffer(name, tensor, persistent=False)
        with module.graph.inserting_before(first):
            node.replace_all_uses_with(module.graph.get_attr(name))
        module.graph.erase_node(node)
    module.recompile()
    return module


def _described(tensor: Tensor) -> tuple:
    shape = tuple(len(range(n)) for n in tensor.shape)
    return ("tensor", shape, tensor.dtype, tensor.device, tensor.requires_grad)


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
        self.forget()

    def forget(self) -> None:
        """Drop all programs; the next call traces the function anew."""
        self._known: OrderedDict[tuple, list[Collapsed]] = OrderedDict()
        self._programs: list[Collapsed] = []

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_known", "_programs")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.forget()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():
            return self._compiled(args, kwargs)
        try:
            with alone():
                found, tensors = self._collapsed(args, kwargs)
        except Entangled:
            return self.function(*args, **kwargs)
        with ambient.without_autocast(tensors):
            return found.returned(found.run(*tensors))

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What the pass does for these arguments: print it, or draw it with its `draw`."""
        with alone():
            return self._collapsed(args, kwargs)[0].explanation

    def _compiled(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A call while `torch.compile` traces."""
        leaves, structure = pytree.tree_flatten((args, kwargs))
        # a length is a plain number, also for an axis that the compiler holds for dynamic
        described = [_described(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        places = pytree.tree_unflatten(range(len(leaves)), structure)
        program = self._programs[self._trace(places, tuple(described))]
        for holder, name, value in program.settings:  # read here, so that compiled code is renewed when they change
            now = _now(holder, name)
            if (now is not value) if isinstance(value, nn.Module) else now != value:
                raise RuntimeError(f"{name} changed while the function was traced.")
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        return program.returned(program.run(*tensors, *[_now(holder, name) for holder, name in program.sources]))

    @torch.compiler.assume_constant_result
    def _trace(self, places: Any, leaves: tuple) -> int:
        """Make the program while `torch.compile` traces; its place in the list.

        `places` has the structure of the arguments, with the place of each leaf; tensors are described, as a compiler
        has none at hand.
        """
        made = [
            torch.empty(leaf[1], dtype=leaf[2], device=leaf[3]).requires_grad_(leaf[4])
            if _is_description(leaf)
            else leaf
            for leaf in leaves
        ]
        args, kwargs = pytree.tree_unflatten(made, pytree.tree_structure(places))
        contents = Contents(self.function)
        module, structure, explanation, outside = self._made(args, kwargs, contents)
        arguments = [leaf for leaf in made if isinstance(leaf, Tensor)]
        unknown = contents.opaque or (
            "it reads numbers off tensors" if outside.reads or not outside.is_lasting else None
        )
        if unknown is not None:
            raise JetbenchError(f"{self._name} cannot be compiled, as {unknown}. Call it outside of torch.compile.")
        held = _held(contents)
        sources = {id(value): (holder, name) for holder, name, value in held if isinstance(value, Tensor)}
        inner = list(enumerate(outside.tensors[len(arguments) :], len(arguments)))
        module = _bound(module, {i: tensor for i, tensor in inner if id(tensor) not in sources})
        LazyGraphModule.force_recompile(module)
        found = tuple(sources[id(tensor)] for _, tensor in inner if id(tensor) in sources)
        settings = tuple(place for place in held if not isinstance(place[2], Tensor))
        self._programs.append(Collapsed(module, (), Conditions(), structure, explanation, settings, found))
        return len(self._programs) - 1

    def _collapsed(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Collapsed, list[Tensor]]:
        """The program for these arguments, made where there is none that holds for all that the function refers to."""
        contents = Contents(self.function, args, kwargs)
        is_known = contents.opaque is None and ambient.unknown_mode() is None
        key = (contents.key, ambient.settings(contents.tensors)) if is_known else None
        for found in self._known.get(key, ()):
            tensors = found.taken(contents)
            if found.conditions.hold(tensors):
                self._known.move_to_end(key)
                return found, tensors
        module, structure, explanation, outside = self._made(args, kwargs, contents)
        LazyGraphModule.force_recompile(module)
        if self._explains:
            print(explanation)
        places = {id(tensor): place for place, tensor in enumerate(contents.tensors)}
        lasting = is_known and outside.is_lasting and all(id(tensor) in places for tensor in outside.tensors)
        taken = tuple(places[id(tensor)] for tensor in outside.tensors) if lasting else ()
        found = Collapsed(module, taken, outside.conditions, structure, explanation)
        if lasting:
            self._known.setdefault(key, []).insert(0, found)
            del self._known[key][MOST_KEPT:]
            if len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return found, outside.tensors

    def _made(
        self, args: tuple, kwargs: dict[str, Any], contents: Contents
    ) -> tuple[fx.GraphModule, pytree.TreeSpec, Explanation, Outside]:
        """A program that takes the tensors of the result's `Outside`."""
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = list({id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values())
        returned: list[pytree.TreeSpec] = []

        def flat(*given: Tensor) -> tuple:
            made = {id(tensor): stand_in for tensor, stand_in in zip(tensors, given, strict=True)}
            filled = [made[id(leaf)] if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            args, kwargs = pytree.tree_unflatten(filled, structure)
            values, spec = pytree.tree_flatten(self.function(*args, **kwargs))
            returned.append(spec)
            return tuple(values)

        try:
            with Restored(contents) as restored:
                module, explanation, outside = _rewritten(flat, tensors, contents.tensors)
        except JetbenchError:
            raise
        except (GuardOnDataDependentSymNode, DataDependentOutputException, DynamicOutputShapeException) as error:
            raise JetbenchError(
                f"The function {self._name} decides by values of its arguments what to compute (an `if`, `.item()`, a "
                "loop count or a boolean mask). Use torch.where, so that one computation holds for all of them."
            ) from error
        except Exception as error:
            if functorch.peek_interpreter_stack() is not None:
                raise Entangled(f"{WRAPPED} {error}") from error
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise JetbenchError(
                f"collapse could not trace {self._name} for tensors of shapes {shapes}: {type(error).__name__}: {error}"
            ) from error
        if is_dependent(outside.tensors, tuple(outside.roots)):
            raise Entangled(DEPENDENT)
        outside.is_lasting &= not restored.has_changed
        return module, returned[-1], explanation, outside


def _held(contents: Contents) -> list[tuple[object, Any, object]]:
    """What may change of the contents, as `torch.compile` can look at it: holder, name or place, and value."""
    found = [(namespace, name, namespace[name]) for namespace, name in contents.names]
    for module in contents.modules:
        found += [(module, name, value) for name, value in vars(module).items()]
        for state in (module._parameters, module._buffers, module._modules):
            found += [(module, name, value) for name, value in state.items()]
    namespaces = {id(namespace) for namespace, _ in contents.names}
    states = {id(value) for module in contents.modules for value in (vars(module), *vars(module).values())}
    for container in contents.containers:
        if isinstance(container, (dict, list, deque)) and id(container) not in namespaces:
            found.append((container, None, len(container)))
        if id(container) not in namespaces | states:
            # a class has what its bases have, until it gets its own
            bases = reversed(container.__mro__) if isinstance(container, type) else (container,)
            values = {name: value for base in bases for name, value in items(base).items()}
            found += [(container, getattr(name, "__name__", name), value) for name, value in values.items()]
    return [(holder, name, value) for holder, name, value in found if _is_watched(holder, name, value)]


def _is_watched(holder: object, name: object, value: object) -> bool:
    """Whether compiled code can look at a value, and tell another one from it."""
    if isinstance(holder, set) or not (name is None or isinstance(name, (str, int))):
        return False
    return isinstance(value, (*PLAIN, float, Tensor, nn.Module)) and not (isinstance(value, float) and value != value)


def _now(holder: object, name: Any) -> object:
    """What a holder has under a name or at a place; how much it holds, without a name."""
    if name is None:
        return len(holder)
    if isinstance(holder, (dict, list, deque)):
        return holder[name]
    if isinstance(holder, CellType):
        return holder.cell_contents
    return getattr(holder, name)


def collapse(function: Callable, explain: bool = False) -> CollapsedFunction:
    """Return the same function with sums moved through operations that are linear in them, where this saves operations.

    For a sum of derivatives along many directions, such as
    ``vmap(lambda v: jvp(lambda y: jvp(f, (y,), (v,))[1], (x,), (v,))[1])(eye).sum(0)``, this is the rewrite of Taylor
    mode to collapsed Taylor mode: D + 2 instead of 1 + 3·D vectors pass through f for its Laplacian. The trace of
    ``jacfwd(jacfwd(f))(x)`` has the same cost. The result is the same up to rounding, and so are its derivatives with
    respect to the arguments and everything that the function closes over; what `detach` or `torch.no_grad` excludes
    from differentiation remains excluded. The function may use `torch.func` and `torch.autograd.grad`.

    The function is traced once for each shape and type of its arguments, and again when something that it reads has
    changed: attributes, globals, closures, containers, modes, numbers that it takes out of tensors. Where changes
    cannot be detected (names that the function composes, iterators, objects of compiled libraries), it is traced at
    each call, which is slow. Python code runs during tracing only; the objects that it changes are restored.

    Args:
        function: takes tensors (also in tuples, lists and dictionaries), plain values and objects that hold them.
        explain: whether to print what the pass did each time the function is traced.

    Returns:
        A function that is differentiable, and to which `torch.compile` and `torch.func` apply; it can be copied and
        pickled. Its method `explain` describes what was done for given arguments.

    Raises:
        JetbenchError: when called, if the function cannot be traced, with the reason.
        Unsupported: when called, if it uses a `torch.autograd.Function` with a derivative of its own, or changes
            tensors outside of it in a way that derivatives depend on.

    Examples:
        The Laplacian of Σ_i x_i⁴ at (1, 2):

        >>> import torch
        >>> from torch.func import jacfwd
        >>> laplacian = collapse(lambda x: jacfwd(jacfwd(lambda y: (y**4).sum()))(x).trace())
        >>> laplacian(torch.tensor([1.0, 2.0]))
        tensor(60.)
    """
    if not callable(function):
        raise TypeError(f"collapse takes a function; got {type(function).__name__}.")
    return CollapsedFunction(function, explain)


def own_dtype(function: Callable) -> str | None:
    """The floating-point type of the tensors that a function refers to; None if there are none, or of several types."""
    found = {tensor.dtype for tensor in Contents(function).tensors if tensor.is_floating_point()}
    return dtype_name(found.pop()) if len(found) == 1 else None


def backend(module: fx.GraphModule, examples: Sequence[Any], **options: Any) -> Callable:
    """`torch.compile(fn, backend="jetbench")`: collapse, then Inductor; what cannot be collapsed goes to Inductor."""
    if all(isinstance(example, Tensor) for example in examples):
        found, _ = collapse_graph(lambda *tensors: tuple(pytree.tree_leaves(module(*tensors))), examples)
        found.recompile()
        module = found
    return inductor(module, list(examples), options)
