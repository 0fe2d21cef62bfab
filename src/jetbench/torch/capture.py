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

from jetbench.errors import JetbenchError, MissingRule, Unsupported
from jetbench.torch.rules import RULES

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
def _decompositions(rules: int) -> dict:
    """PyTorch's own decompositions for every operation without a rule; renewed when a rule is added."""
    del rules
    table = {**decomposition_table, **core_aten_decompositions()}
    return {
        operation: function
        for operation, function in table.items()
        if operation not in RULES and not (isinstance(operation, OpOverload) and operation._schema.is_mutable)
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

    def run(function: Callable) -> fx.GraphModule:
        table = _decompositions(len(RULES))
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), _Captured():
            return make_fx(function, table, tracing_mode="fake", _allow_non_fake_inputs=True)(example)

    try:
        module = run(traced)
        if any(_mutates(node) for node in module.graph.nodes):
            module = run(functionalize(module, remove="mutations"))
    except GuardOnDataDependentSymNode as error:
        raise JetbenchError(
            "The network decides by a value of x what to compute (an `if`, `.item()`, a loop count or a boolean mask). "
            "Use torch.where, so that one computation holds for every x."
        ) from error
    except JetbenchError:
        raise
    except Exception as error:
        raise JetbenchError(
            f"The network could not be run on x of shape {tuple(shape)}, type {dtype} and device {device}: "
            f"{type(error).__name__}: {error}"
        ) from error
    module.graph.eliminate_dead_code()
    return _analysed(net, module)


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


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
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise Unsupported(
                f"The network draws random numbers ({node.target}). Call `net.eval()` to turn dropout off, or draw "
                "them outside of the network."
            )
        if _mutates(node):
            raise Unsupported(
                f"The network changes a tensor that lives outside of it ({node.target}), such as the running "
                "statistics of a batch norm in training mode. Call `net.eval()`."
            )
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
        for owner in module.modules():
            for name, tensor in [*owner._parameters.items(), *owner._buffers.items()]:
                if tensor is not None:
                    found.setdefault(id(tensor), (owner, name))
    return found


def _contents(net: object) -> tuple[list[nn.Module], list[object]]:
    """The modules that a callable holds, and the other things it refers to, as far as Python shows them."""
    modules: list[nn.Module] = []
    things: list[object] = []
    seen: set[int] = set()

    def visit(value: object, depth: int) -> None:
        if id(value) in seen or depth > _DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            modules.append(value)
        elif isinstance(value, (Tensor, *_SIMPLE)):
            things.append(value)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                visit(part, depth + 1)
        elif isinstance(value, types.MethodType):
            visit(value.__self__, depth + 1)
            visit(value.__func__, depth + 1)
        elif isinstance(value, types.FunctionType):
            things.append(value.__code__)
            for cell in value.__closure__ or ():
                try:
                    visit(cell.cell_contents, depth + 1)
                except ValueError:  # a cell that is not filled yet
                    continue
            for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
                visit(default, depth + 1)
            for name in value.__code__.co_names:
                if name in value.__globals__ and not isinstance(value.__globals__[name], types.ModuleType):
                    visit(value.__globals__[name], depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            things.append(len(value))
            for item in value:
                visit(item, depth + 1)
        elif isinstance(value, dict):
            things.append(tuple(str(key) for key in value))
            for item in value.values():
                visit(item, depth + 1)
        elif not isinstance(value, type) and hasattr(value, "__dict__") and not isinstance(value, types.ModuleType):
            things.append(value)
            visit(vars(value), depth + 1)

    visit(net, 0)
    return modules, things


def fingerprint(net: Callable) -> tuple:
    """What a captured graph depends on besides x: it is captured anew when this changes.

    Modules count by their training flags, their plain attributes, and the shape and type of their tensors; the tensors
    themselves may be replaced. What else a function refers to counts by identity, numbers and texts by value.
    """
    modules, things = _contents(net)
    parts: list[object] = []
    for module in modules:
        for owner in module.modules():
            parts.append(id(owner))
            for name, value in vars(owner).items():
                if isinstance(value, _SIMPLE):
                    parts.append((name, value))
            for tensor in [*owner._parameters.values(), *owner._buffers.values()]:
                if tensor is not None:
                    parts.append((tuple(tensor.shape), tensor.dtype, tensor.device))
            for hooks in (owner._forward_hooks, owner._forward_pre_hooks):
                parts.extend(id(hook) for hook in hooks.values())
    parts.extend(thing if isinstance(thing, _SIMPLE) else id(thing) for thing in things)
    return tuple(parts)
