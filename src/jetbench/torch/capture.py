"""One torch function as a sequence of ATen operations, captured once for each kind of arguments.

A function of PyTorch depends on nothing but its arguments and a few modes, so what is captured here cannot go stale.
How the functions that a network calls are put together is in `recording`, what is done with them in `propagate`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.func import functionalize
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.nn.attention import SDPBackend, sdpa_kernel

from jetbench.errors import JetbenchError, MissingRule
from jetbench.torch._compat import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    OpOverload,
    OpOverloadPacket,
    core_aten_decompositions,
    decomposition_table,
    default_device,
    modes,
    pytree,
    quietly,
    undisturbed,
    unseen,
)
from jetbench.torch.noting import Notes, Substitutes, draws_nothing
from jetbench.torch.refusals import DECIDES, author_derivative, changes_input, changes_outside, draws
from jetbench.torch.steps import Captured, Described, Slot, Step, placed

aten = torch.ops.aten
CACHED_FUNCTIONS = 4096
SMALL = 1 << 16  # entries


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """What a change in place becomes without it; PyTorch's own operation has no forward mode."""
    del non_blocking
    return source.to(target.dtype).expand(target.shape).clone()


OWN = {aten.copy.default: _copy}


@functools.cache
def _decompositions(kept: frozenset[OpOverload], references: bool) -> dict:
    """PyTorch's own decompositions for every operation that is not kept.

    Those of PyTorch's references may end in operations of another set, prims, which users do not know.
    """
    table = {**decomposition_table, **core_aten_decompositions()}
    return OWN | {
        operation: function
        for operation, function in table.items()
        if operation not in kept
        and not (isinstance(operation, OpOverload) and operation._schema.is_mutable)
        and operation not in OWN
        and (references or not function.__module__.startswith("torch._refs"))
    }


def _of_tensors(function: Callable, args: tuple, kwargs: dict) -> Callable:
    """The function of the tensors among its arguments, the others being given."""
    leaves = [*args, *kwargs.values()]
    is_flat = all(isinstance(leaf, Tensor) or type(leaf) in _PLAIN or type(leaf) is float for leaf in leaves)
    if not is_flat:
        leaves, structure = pytree.tree_flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def called(*tensors: Tensor) -> object:
        given = _replaced(leaves, places, tensors)
        if is_flat:
            return function(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
        full_args, full_kwargs = pytree.tree_unflatten(given, structure)
        return function(*full_args, **full_kwargs)

    return called


def _replaced(leaves: Sequence, places: Sequence[int], tensors: Sequence[Tensor]) -> list:
    """The leaves with tensors at the given places."""
    found = list(leaves)
    for place, tensor in zip(places, tensors, strict=True):
        found[place] = tensor
    return found


def _add_kind(value: object, key: list[Hashable], tensors: list[Tensor], describe: Callable[[Tensor], tuple]) -> None:
    """Add to the key what a captured function depends on in one of its arguments; collects the tensors on the way.

    Raises:
        TypeError: there is no telling when two such arguments are the same.
    """
    kind = type(value)
    if kind in _PLAIN:
        key += (kind, value)  # as 1 equals True
    elif isinstance(value, Tensor):
        tensors.append(value)
        key.append(describe(value))
    elif kind is float:
        key += (kind, value, math.copysign(1.0, value)) if value == value else (kind, "nan")
    elif kind in _SEQUENCES:
        key += (kind, len(value))
        for item in value:
            _add_kind(item, key, tensors, describe)
    elif kind is slice:
        key.append(kind)
        for item in (value.start, value.stop, value.step):
            _add_kind(item, key, tensors, describe)
    elif kind is dict:
        key += (kind, len(value))
        for name, item in value.items():
            key.append(name)
            _add_kind(item, key, tensors, describe)
    else:
        raise TypeError(f"{kind.__name__} is not a plain value.")


_PLAIN = frozenset((
    type(None), type(...), int, bool, str, complex, torch.dtype, torch.device, torch.layout, torch.memory_format,
))  # fmt: skip
_SEQUENCES = frozenset((tuple, list, torch.Size))


def casts(device_type: str) -> bool:
    """Whether torch.autocast is active for tensors of a device."""
    return _can_cast(device_type) and torch.is_autocast_enabled(device_type)


_can_cast = functools.cache(torch.amp.is_autocast_available)


def ambient(device_type: str) -> tuple:
    """The modes that decide what a torch function does with its arguments."""
    return (
        torch.get_autocast_dtype(device_type) if casts(device_type) else None,
        torch.get_default_dtype(),
        default_device(),
    )


def _is_of_torch(function: Callable) -> bool:
    """Whether a function depends on nothing but its arguments, as PyTorch's own do; a script has parameters."""
    if isinstance(function, types.FunctionType):
        return (function.__module__ or "").partition(".")[0] == "torch"
    return isinstance(function, _BUILT_IN)


_BUILT_IN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    OpOverload,
    OpOverloadPacket,
)


class Capturing:
    """Captures functions, each once for each kind of arguments.

    Args:
        kept: operations that are not decomposed, in one or more collections; none if they are decomposed nowhere.
        is_complete: whether operations that depend on x must be among them in the end.
    """

    def __init__(self, *kept: Collection[OpOverload], is_complete: bool = False) -> None:
        self._kept, self._is_complete = kept, is_complete
        self._together: tuple[tuple[int, ...], frozenset[OpOverload]] = ((), frozenset())
        self._known: OrderedDict[tuple, Captured] = OrderedDict()

    def function(
        self, function: Callable, args: tuple, kwargs: dict, describe: Callable[[Tensor], tuple]
    ) -> tuple[Captured, list[Tensor]]:
        """The captured function and the tensors among its arguments.

        Args:
            describe: tensor → (shape, stride or None, dtype, device, whether it depends on x).

        Raises:
            JetbenchError: it reads a value that depends on x.
            MissingRule: an operation has no rule.
            Exception: what the function itself raises for such arguments.
        """
        tensors: list[Tensor] = []
        key: list[Hashable] = [function, *map(len, self._kept)]
        try:
            for value in args:
                _add_kind(value, key, tensors, describe)
            if kwargs:
                _add_kind(kwargs, key, tensors, describe)
        except TypeError:
            tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            return self._capture(function, args, kwargs, [describe(t) for t in tensors]), tensors
        key += ambient(describe(tensors[0])[3].type)
        found = self._known.get(known := tuple(key))
        if found is None:
            found = self._known[known] = self._capture(function, args, kwargs, [describe(t) for t in tensors])
            if len(self._known) > CACHED_FUNCTIONS:
                self._known.popitem(last=False)
        return found, tensors

    def _capture(self, function: Callable, args: tuple, kwargs: dict, described: Sequence[tuple]) -> Captured:
        """As `function`, without a look into the cache."""
        if not _is_of_torch(function):
            raise NotImplementedError(f"{function} is not a function of PyTorch")
        called = _of_tensors(function, args, kwargs)
        if _are_small(described):
            try:
                return self._decomposed(functools.partial(_captured, called, _zeros(described), described))
            except NotImplementedError:  # it would read numbers
                pass
            except JetbenchError:
                raise
            except Exception:  # it does not take these numbers
                pass
        return self._decomposed(functools.partial(_captured, called, _fake(described), described))

    def network(self, net: Callable[[Tensor], Tensor], x: Tensor) -> Captured:
        """A network in one piece, run in Python on x itself, so that what it keeps has numbers; on a fake x where x has
        none."""
        described = [(tuple(x.shape), None, x.dtype, x.device, True)]
        has_numbers = not modes() and x.device.type != "meta"
        make = (lambda: [x.detach().clone()]) if has_numbers else _fake(described)

        def captured(kept: Collection[OpOverload], table: dict) -> Captured:
            try:
                return _captured(net, make, described, kept, table, is_network=True)
            except NotImplementedError as error:
                if has_numbers:
                    raise
                raise JetbenchError(DECIDES) from error

        return self._decomposed(captured)

    def _decomposed(self, captured: Callable[[Collection[OpOverload], dict], Captured]) -> Captured:
        kept = self._all_kept()
        if not kept:
            return captured((), OWN)
        try:
            found = captured(kept, _decompositions(kept, True))
            self._refuse_missing_rules(found, kept)
        except (MissingRule, NotImplementedError):
            found = captured(kept, _decompositions(kept, False))
            self._refuse_missing_rules(found, kept)
        return found

    def _all_kept(self) -> frozenset[OpOverload]:
        lengths = tuple(map(len, self._kept))
        if lengths != self._together[0]:
            self._together = (lengths, frozenset().union(*self._kept))
        return self._together[1]

    def _refuse_missing_rules(self, captured: Captured, kept: Collection[OpOverload]) -> None:
        missing = [step.target for step in captured.steps if step.depends and step.target not in kept]
        if missing and self._is_complete:
            raise MissingRule(
                f"No rule for the operation {missing[0]}. Add one with @jetbench.torch.rule({missing[0]}), as "
                "described in jetbench/torch/registry.py, or register a decomposition into known operations."
            )


def _are_small(described: Sequence[tuple]) -> bool:
    """Whether tensors have so few entries that computing with them is faster than with fake ones."""
    if not all(type(n) is int for shape, *_ in described for n in shape):
        return False
    return sum(math.prod(shape) for shape, *_ in described) <= SMALL


def _zeros(described: Sequence[tuple]) -> Callable[[], list[Tensor]]:
    """How to make tensors like those described that stand in for them; nothing may read their numbers."""

    def make() -> list[Tensor]:
        return [
            torch.zeros(shape, dtype=dtype, device=device)
            if stride is None
            else torch.empty_strided(shape, stride, dtype=dtype, device=device).zero_()
            for shape, stride, dtype, device, _ in described
        ]

    return make


@functools.cache
def _fakes() -> FakeTensorMode:
    return FakeTensorMode(allow_non_fake_inputs=True)


def _fake(described: Sequence[tuple]) -> Callable[[], list[Tensor]]:
    """How to make fake tensors like those described."""

    def make() -> list[Tensor]:
        with _fakes():
            return [
                torch.empty(shape, dtype=dtype, device=device)
                if stride is None
                else torch.empty_strided(shape, stride, dtype=dtype, device=device)
                for shape, stride, dtype, device, _ in described
            ]

    return make


def _captured(
    function: Callable,
    make: Callable[[], list[Tensor]],
    described: Sequence[tuple],
    kept: Collection[OpOverload],
    table: dict,
    is_network: bool = False,
) -> Captured:
    """Run the function on example tensors, and once more without changes in place if it made any.

    Args:
        make: makes the examples.
        is_network: the only input is x, and what is not made from it belongs to the user.
    """
    with (
        undisturbed(),
        torch.inference_mode(False),
        sdpa_kernel(SDPBackend.MATH),
        unseen(),
        contextlib.ExitStack() as open_,
    ):
        examples = make()
        if all(isinstance(example, FakeTensor) for example in examples):
            open_.enter_context(quietly())
            open_.enter_context(_fakes())
        depends = [of_x for *_, of_x in described]

        def run(function: Callable, steps: Notes, differentiates: bool) -> object:
            for example in examples:
                example.requires_grad_(differentiates and example.dtype.is_floating_point)
            try:
                with torch.set_grad_enabled(differentiates), Substitutes(steps), steps:
                    result = function(*examples)
            except (GuardOnDataDependentSymNode, DynamicOutputShapeException, DataDependentOutputException) as error:
                raise NotImplementedError("a shape or a decision depends on values") from error
            _refuse_draws(steps.steps)
            return result

        has_values = is_network and not examples[0].is_meta and not isinstance(examples[0], FakeTensor)
        steps = Notes(kept, table, examples, depends, is_network, has_values)
        result = run(function, steps, is_network)
        leaves, structure = ([result], None) if isinstance(result, Tensor) else pytree.tree_flatten(result)
        relations = [_relation(leaf, examples) for leaf in leaves]
        if is_network:
            _refuse_author_derivatives(leaves)
        if any(step.target._schema.is_mutable for step in steps.steps):
            if is_network:
                _refuse_changes_outside(steps)
            examples = [example.detach() for example in examples]
            first, steps = steps, Notes(kept, table, examples, depends, False, has_values)
            steps.detaches = False  # `functionalize` detaches, too
            leaves = run(functionalize(_replayed(first, leaves, steps), remove="mutations"), steps, False)
        changed = {i: steps.place_of(example) for i, example in enumerate(examples) if steps.place_of(example) != i}
        changed |= _changes(steps, len(examples))
        output = [
            _described(steps.place_of_argument(leaf), leaf, *relation) if isinstance(leaf, Tensor) else leaf
            for leaf, relation in zip(leaves, relations, strict=True)
        ]
        return Captured(
            len(examples),
            steps.constants,
            tuple(steps.steps),
            output[0] if structure is None else pytree.tree_unflatten(output, structure),
            steps.count,
            changed,
        )


def _replayed(steps: Notes, leaves: Sequence[object], noting: Notes) -> Callable[..., list]:
    """The steps as a function of the inputs, which returns the leaves; `noting` sees it run."""
    places = [steps.place_of_argument(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves]
    constants, noted = dict(steps.constants), tuple(steps.steps)

    def replay(*tensors: Tensor) -> list:
        values: dict[int | None, object] = {**dict(enumerate(tensors)), **constants}
        for step in noted:
            args, kwargs = placed((step.args, step.kwargs), values.__getitem__)
            detaching = noting.detaching() if step.target is aten.detach.default else contextlib.nullcontext()
            with detaching:
                result = step.target(*args, **kwargs)
            values.update(zip(step.results, result if step.several else (result,), strict=True))
        return [leaf if place is None else values[place] for leaf, place in zip(leaves, places, strict=True)]

    return replay


def _relation(leaf: object, examples: Sequence[Tensor]) -> tuple[tuple[int, ...], int | None]:
    """Which inputs share their memory with a result, and which of them it is itself."""
    if not isinstance(leaf, Tensor):
        return (), None
    same = next((i for i, example in enumerate(examples) if example is leaf), None)
    if leaf.layout != torch.strided:
        return (), same
    memory = leaf.untyped_storage()._cdata
    return tuple(i for i, example in enumerate(examples) if example.untyped_storage()._cdata == memory), same


def _described(place: int, leaf: Tensor, alias: tuple[int, ...], same: int | None) -> Described:
    return Described(place, tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.device, alias, same)


def _changes(steps: Notes, inputs: int) -> dict[int, int]:
    """Input → place of what is copied into it at the end; these copies are taken out of the steps."""
    changed, kept = {}, []
    for step in steps.steps:
        if not step.target._schema.is_mutable:
            kept.append(step)
            continue
        if step.target is not aten.copy_.default or step.args[0].index >= inputs:
            raise NotImplementedError(f"{step.target} works in place in a way that cannot be followed")
        changed[step.args[0].index] = step.args[1].index
    steps.steps = kept
    return changed


def _refuse_draws(steps: Sequence[Step]) -> None:
    """Raise where random numbers are drawn."""
    for step in steps:
        can_draw = torch.Tag.nondeterministic_seeded in step.target.tags
        if can_draw and not draws_nothing(step.target, step.args, step.kwargs):
            raise draws(str(step.target))


def _refuse_changes_outside(steps: Notes) -> None:
    """Raise where an operation writes into a constant or into x, or into a view of one."""
    outside: dict[int, bool] = {0: True, **dict.fromkeys(steps.constants, False)}
    for step in steps.steps:
        for argument, value in zip(step.target._schema.arguments, step.args, strict=False):
            if argument.alias_info is None or not isinstance(value, Slot) or value.index not in outside:
                continue
            is_x = outside[value.index]
            if argument.alias_info.is_write:
                raise (changes_input if is_x else changes_outside)(str(step.target))
            outside.update(dict.fromkeys((place for place in step.results if place is not None), is_x))


def _refuse_author_derivatives(leaves: Sequence[object]) -> None:
    """Raise where a custom `autograd.Function` took part in what a network returns."""
    nodes = [leaf.grad_fn for leaf in leaves if isinstance(leaf, Tensor)]
    seen = set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            raise author_derivative(type(node).__name__.removesuffix("Backward"))
        nodes += [following for following, _ in node.next_functions]
