"""From a Python function to a graph of ATen operations, once for each shape, type and device of x.

Only capturing belongs here; what is then done with the graph is in `propagate`.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch._decomp import core_aten_decompositions, decomposition_table
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import OpOverload
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from jetbench.errors import JetbenchError, MissingRule, NetworkFailed, Unsupported
from jetbench.torch.rules import RULES

_MODULE_STATE = frozenset(vars(nn.Module())) - {"training"}
_DECIDES = (
    "The network decides by a value of x what to compute (an `if`, `.item()`, a loop count or a boolean mask). "
    "Use torch.where, so that one computation holds for every x."
)
_SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_DEPTH = 6


@dataclass
class Graph:
    """A captured network.

    Attributes:
        graph: nodes in order of execution; one placeholder, x.
        constants: attribute name → (module, name in it) of a parameter or buffer, which may be replaced between calls;
            other tensors belong to a module made here.
        dependent: the nodes whose value depends on x.
        last_use: node → the nodes whose values are needed no more after it.
    """

    graph: fx.Graph
    constants: dict[str, tuple[nn.Module, str]]
    dependent: frozenset[fx.Node] = frozenset()
    last_use: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)


@functools.cache
def _decompositions(rules: int, references: bool) -> dict:
    """PyTorch's own decompositions for every operation without a rule; renewed when a rule is added.

    Those of PyTorch's references may end in operations of another set, prims, which users do not know.
    """
    del rules
    table = {**decomposition_table, **core_aten_decompositions()}
    return {
        operation: function
        for operation, function in table.items()
        if operation not in RULES
        and not (isinstance(operation, OpOverload) and operation._schema.is_mutable)
        and (references or not function.__module__.startswith("torch._refs"))
    }


class _Captured(TorchFunctionMode):
    """Functions that look at values, or work in place, in a way that the tracer cannot follow."""

    def __torch_function__(self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        if function is torch.nn.functional.one_hot and (len(args) > 1 or "num_classes" in kwargs):
            return _one_hot(*args, **kwargs)
        if function is torch.nn.functional.cosine_similarity:
            return _cosine_similarity(*args, **kwargs)
        return function(*args, **kwargs)


def _cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    lengths = [torch.linalg.vector_norm(x, dim=dim).clamp_min(eps) for x in (x1, x2)]
    return (x1 * x2).sum(dim) / (lengths[0] * lengths[1])


def _one_hot(tensor: Tensor, num_classes: int) -> Tensor:
    return (tensor.unsqueeze(-1) == torch.arange(num_classes, device=tensor.device)).long()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Outside of any transformation or tracing that is under way, such as torch.vmap around an operator."""
    with temporarily_clear_interpreter_stack(), _disable_current_modes(), torch._guards.tracing(None):
        yield


def capture(net: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Graph:
    """The graph of `net` for an input of the given shape.

    Raises:
        JetbenchError: the network cannot be captured, with the reason: control flow that depends on values, a shape or
            a type that it does not take, an output that is no tensor.
        Unsupported: it draws random numbers, or changes tensors outside of it.
        MissingRule: it uses an operation without a rule.
    """
    example = torch.empty(shape, dtype=dtype, device=device)

    def traced(x: Tensor) -> Tensor:
        y = net(x)
        if not isinstance(y, Tensor):
            raise JetbenchError(f"The network must return one tensor; it returned {type(y).__name__}.")
        return y

    with unchanged(net):
        try:
            return _analysed(net, _traced(traced, example, references=True))
        except MissingRule:
            return _analysed(net, _traced(traced, example, references=False))


@contextlib.contextmanager
def unchanged(net: Callable) -> Iterator[None]:
    """Runs of the network in this context leave its buffers, such as running statistics, as they are."""
    buffers = [buffer for module in _contents(net)[0] for buffer in module._buffers.values() if buffer is not None]
    before = [(buffer, buffer._version, buffer.clone()) for buffer in buffers if not buffer.is_inference()]
    try:
        yield
    finally:
        for buffer, version, value in before:
            if buffer._version != version:
                buffer.copy_(value)


def _traced(function: Callable[[Tensor], Tensor], example: Tensor, references: bool) -> fx.GraphModule:
    """The function as a graph without changes in place."""
    shape, dtype, device = example.shape, example.dtype, example.device

    def run(function: Callable) -> fx.GraphModule:
        table = _decompositions(len(RULES), references)
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), _Captured():
            return make_fx(function, table, tracing_mode="fake", _allow_non_fake_inputs=True)(example)

    try:
        module = run(function)
        if any(_mutates(node) for node in module.graph.nodes):
            _refuse_changes_outside(module)
            module = run(functionalize(module, remove="mutations"))
        _refuse_draws(module)
    except GuardOnDataDependentSymNode as error:
        raise JetbenchError(_DECIDES) from error
    except JetbenchError:
        raise
    except Exception as error:
        raise NetworkFailed(shape, dtype, device, error) from error
    module.graph.eliminate_dead_code()
    return module


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _refuse_changes_outside(module: fx.GraphModule) -> None:
    """Raise where an operation writes into a constant or into x, or into a view of one."""
    outside: set[fx.Node] = set()
    of_x: set[fx.Node] = set()
    for node in module.graph.nodes:
        if node.op in ("get_attr", "placeholder"):
            outside.add(node)
            if node.op == "placeholder":
                of_x.add(node)
        elif isinstance(node.target, OpOverload):
            for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
                if argument.alias_info is None or not isinstance(value, fx.Node) or value not in outside:
                    continue
                if argument.alias_info.is_write and value in of_x:
                    raise Unsupported(
                        f"The network changes its input in place ({node.target}). Let it make a new tensor, such as "
                        "x = x + 1 for x += 1, or activations without inplace=True."
                    )
                if argument.alias_info.is_write:
                    raise Unsupported(
                        f"The network changes a tensor that lives outside of it ({node.target}), such as the running "
                        "statistics of a batch norm in training mode. Call `net.eval()`."
                    )
                outside.add(node)
                if value in of_x:
                    of_x.add(node)


def _refuse_draws(module: fx.GraphModule) -> None:
    """Raise where the network draws random numbers."""
    for node in module.graph.nodes:
        if isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags:
            raise Unsupported(
                f"The network draws random numbers ({node.target}). Call `net.eval()` to turn dropout off, or draw "
                "them outside of the network."
            )


def refuse_side_effects(
    net: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    """Raise where the network draws random numbers or changes tensors outside of it, as far as tracing shows.

    What cannot be traced, such as control flow that depends on values, passes: nested AD may still run it.

    Raises:
        Unsupported: as above.
    """
    with unchanged(net):
        try:
            _traced(net, torch.empty(shape, dtype=dtype, device=device), references=True)
        except Unsupported:
            raise
        except JetbenchError:
            return


def _analysed(net: Callable, module: fx.GraphModule) -> Graph:
    """Find what depends on x, when values die, and where the constants live; refuse what has no rule."""
    nodes = list(module.graph.nodes)
    dependent: set[fx.Node] = set()
    last_use: dict[fx.Node, list[fx.Node]] = {}
    seen: set[fx.Node] = set()
    for node in reversed(nodes):
        for used in node.all_input_nodes:
            if used not in seen:
                seen.add(used)
                last_use.setdefault(node, []).append(used)
    for node in nodes:
        if node.op == "placeholder" or (node.op != "get_attr" and any(n in dependent for n in node.all_input_nodes)):
            dependent.add(node)
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if torch.Tag.data_dependent_output in node.target.tags:
            raise JetbenchError(_DECIDES)
        if node in dependent and node.target not in RULES:
            raise MissingRule(
                f"No rule for the operation {node.target}. Add one with @jetbench.torch.rule({node.target}), as "
                "described in jetbench/torch/rules/registry.py, or register a decomposition into known operations."
            )
    places = owners(net)
    constants = {}
    for node in nodes:
        if node.op == "get_attr":
            constants[node.target] = places.get(id(getattr(module, node.target)), (module, node.target))
    return Graph(module.graph, constants, frozenset(dependent), last_use)


def owners(net: Callable) -> dict[int, tuple[nn.Module, str]]:
    """For each parameter and buffer of the modules in `net`, by identity, its module and its name there."""
    found: dict[int, tuple[nn.Module, str]] = {}
    for module in _contents(net)[0]:
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                found.setdefault(id(tensor), (module, name))
    return found


class _Same:
    """A key that equals only that of the very same object, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _contents(net: object) -> tuple[list[nn.Module], list[object]]:
    """The modules that a callable holds, and keys for all else that it refers to, as far as Python shows it."""
    modules: list[nn.Module] = []
    keys: list[object] = []
    seen: set[int] = set()

    def visit(value: object, depth: int) -> None:
        if isinstance(value, _SIMPLE):
            keys.append(value)
            return
        if id(value) in seen or depth > _DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            visit_module(value, depth)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                visit(part, depth + 1)
        elif isinstance(value, types.MethodType):
            visit(value.__self__, depth + 1)
            visit(value.__func__, depth + 1)
        elif isinstance(value, types.FunctionType):
            visit_function(value, depth)
        elif isinstance(value, (list, tuple, set, frozenset)):
            keys.append(len(value))
            for item in value:
                visit(item, depth + 1)
        elif isinstance(value, dict):
            keys.append(tuple(str(key) for key in value))
            for item in value.values():
                visit(item, depth + 1)
        else:
            keys.append(_Same(value))
            if hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType, Tensor)):
                visit(vars(value), depth + 1)

    def visit_module(module: nn.Module, depth: int) -> None:
        modules.append(module)
        keys.append(_Same(module))
        for name, value in vars(module).items():
            if name not in _MODULE_STATE:
                keys.append(name)
                visit(value, depth + 1)
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for hook in hooks.values():
                visit(hook, depth + 1)
        for name, child in module._modules.items():
            keys.append(name)
            visit(child, 0)

    def visit_function(function: types.FunctionType, depth: int) -> None:
        keys.append(_Same(function.__code__))
        if function.__module__.partition(".")[0] == "torch":  # PyTorch's own functions do not change
            return
        for cell in function.__closure__ or ():
            try:
                visit(cell.cell_contents, depth + 1)
            except ValueError:  # a cell that is not filled yet
                continue
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            visit(default, depth + 1)
        for name in _names(function.__code__):
            if name in function.__globals__ and not isinstance(function.__globals__[name], types.ModuleType):
                visit(function.__globals__[name], depth + 1)

    visit(net, 0)
    return modules, keys


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names that code refers to, also that of functions defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def settings(net: Callable) -> list[tuple[nn.Module, str, object]]:
    """Module, name and value of each plain attribute of the modules in `net`, such as `training`, and of each child."""
    found: list[tuple[nn.Module, str, object]] = []
    for module in _contents(net)[0]:
        attributes = [(name, value) for name, value in vars(module).items() if name not in _MODULE_STATE]
        found += [(module, name, value) for name, value in attributes if isinstance(value, _SIMPLE)]
        found += [(module, name, child) for name, child in module._modules.items()]
    return found


def fingerprint(net: Callable) -> tuple:
    """What a captured graph depends on besides x: it is captured anew when this changes.

    Modules count by their identity, attributes and hooks; their parameters and buffers by shape, type and by which of
    them are shared, as the tensors themselves may be replaced. What else a function refers to counts by identity,
    numbers and texts by value.
    """
    modules, keys = _contents(net)
    known: dict[int, int] = {}
    for module in modules:
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    place = known.setdefault(id(tensor), len(known))
                    keys.append((name, place, tensor.shape, tensor.dtype, tensor.device))
    return tuple(keys)
