"""What the judge needs of PyTorch."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fuzz.interpolation import COARSE, FINE
from fuzz.judge import NAME, REFUSAL, execute, resume
from fuzz.program import Case, Program
from fuzz.torch import programs
from fuzz.torch.reference import FromValues, Reference
from fuzz.torch.uses import USES

draw, program = programs.draw, programs.program
TOLERANCES = {"float64": 1e-7, "float32": 5e-3}
PLAIN = (Tensor, torch.nn.Parameter, torch.nn.Buffer)

#: Where the reference's namespace says that the network keeps tensors of a transformation by its own doing.
ODD = "leaves odd tensors"


@contextlib.contextmanager
def pristine() -> Iterator[None]:
    default = torch.get_default_dtype()
    grad, cached = torch.is_grad_enabled(), torch.is_autocast_cache_enabled()
    autocast, kind = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        torch.set_grad_enabled(grad)
        torch.set_autocast_enabled("cpu", autocast)
        torch.set_autocast_dtype("cpu", kind)
        torch.set_autocast_cache_enabled(cached)


def expected(case: Case, program: Program) -> tuple[object, dict]:
    """The right result and the namespace it came from; raises where the network cannot bear what is done with it."""
    expect, leaves_odd = USES[case.use].expect, False
    if "decides" in program.traits and (case.rows > 1 or case.use != "value"):
        raise ValueError("Rows would decide for each other.")
    if "doubtful weights" in program.traits and USES[case.use].is_twice:
        raise ValueError("PyTorch's own second derivatives by these parameters are wrong.")
    if "mixed" in program.traits:
        return _refusal(case, program)
    if expect is not None and "collapse(" not in program.action and "linear_operator(" not in program.action:
        leaves_odd = _check_transformation(case, program, expect)
    wanted, space = _result(case, program, lambda net: Reference(net, case.outputs))
    space[ODD] = leaves_odd
    if any(leaf is not None and not leaf.isfinite().all() for leaf in _leaves(wanted)):
        raise ArithmeticError("The reference is not finite.")
    if case.precision == "float32" or program.traits & {"author", "cut", "kinks"}:
        by_values = None
    else:
        by_values = _from_values(case, program)
    if by_values is None and "doubtful" in program.traits:
        raise ValueError("PyTorch's own derivatives are wrong to some order, and values do not tell them.")
    allowed = 1e-8 if "doubtful" in program.traits else 1e-5
    if by_values is not None and not _close(wanted, by_values[0], allowed):
        return Rough(by_values[0]), by_values[1]
    return wanted, space


def _check_transformation(case: Case, program: Program, expect: Callable[[dict], object]) -> bool:
    """Raise where PyTorch's transformation of the network itself fails, or gives other numbers than plain gradients.

    Returns whether it leaves a tensor of the transformation in the network, as a cache that it fills does.
    """
    space = execute(case, program.network)
    names = set(space)
    space["operator"] = space["net"]
    resume(f"{program.setup}\n{program.action}", space)
    plain = execute(case, program.network)
    plain["operator"] = plain["net"]
    resume(program.setup, plain)
    if not _close(space["result"], expect(plain), 1e-6):
        raise ValueError("PyTorch's transformation of the network itself gives other numbers than plain gradients.")
    return odd_tensor({name: space[name] for name in names}) is not None


def _refusal(case: Case, program: Program) -> tuple[object, dict]:
    """For networks whose rows depend on each other or on chance: check that they do."""
    space = execute(case, program.network)
    x = space["x"].requires_grad_()
    if USES[case.use].expect is not None or _close(space["net"](x)[:1], space["net"](x[:1]), 1e-6):
        raise ValueError("Nothing is mixed in this use.")
    return REFUSAL, space


class Rough(list):
    """Results from values alone, which PyTorch's own derivatives contradict: right to four digits."""

    def __init__(self, results: object) -> None:
        super().__init__(_leaves(results))


def _result(case: Case, program: Program, reference: Callable) -> tuple[object, dict]:
    """What the program's result is where operator is the reference made of net."""
    space, expect = execute(case, program.network), USES[case.use].expect
    space["operator"] = reference(space["net"])
    resume(program.setup, space)
    if expect is not None:
        return expect(space), space
    resume(program.action, space)
    return space["result"], space


def _from_values(case: Case, program: Program) -> tuple[object, dict] | None:
    """As `_result`, from values alone; None where two grids do not agree."""
    fine, coarse = (
        _result(case, program, lambda net, scheme=scheme: FromValues(net, case.outputs, scheme))
        for scheme in (FINE, COARSE)
    )
    return fine if _close(fine[0], coarse[0], 1e-5) else None


def _close(found: object, wanted: object, tolerance: float) -> bool:
    pairs = zip(_leaves(found), _leaves(wanted), strict=True)
    return all(_distance(*_zeros_for_none(a, b)) <= tolerance for a, b in pairs if a is not None or b is not None)


def _zeros_for_none(a: Tensor | None, b: Tensor | None) -> tuple[Tensor, Tensor]:
    return (torch.zeros_like(b) if a is None else a), (torch.zeros_like(a) if b is None else b)


def _distance(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number where that is above 1; infinite where one is NaN."""
    if found.numel() == 0:
        return 0.0
    found, wanted = found.detach().double(), wanted.detach().double()
    distance = ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1.0)).item()
    return distance if distance == distance else float("inf")


def _leaves(tree: object) -> list[Tensor | None]:
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in _leaves(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in _leaves(part)]
    return [tree]


def differs(case: Case, traits: set[str], found: object, wanted: object) -> str | None:
    """Where numbers, shapes or types differ; a gradient that is None counts as zeros."""
    mine, theirs = _leaves(found), _leaves(wanted)
    if len(mine) != len(theirs):
        return f"{len(mine)} results in place of {len(theirs)}"
    tolerance = _tolerance(case, traits, wanted)
    for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if a is None and b is None:
            continue
        a, b = _zeros_for_none(a, b)
        if type(a) not in PLAIN:
            return f"result {place} is a {type(a).__name__}"
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"result {place} is of {tuple(a.shape)}, {a.dtype} in place of {tuple(b.shape)}, {b.dtype}"
        if _distance(a, b) > tolerance:
            return f"result {place}: {_numbers(a)} in place of {_numbers(b)}"
    return None


def _tolerance(case: Case, traits: set[str], wanted: object) -> float:
    if case.precision == "float32" and (case.use == "autocast, entered" or "coarse" in traits):
        return 0.2
    return 1e-4 if isinstance(wanted, Rough) else TOLERANCES[case.precision]


def _numbers(tensor: Tensor) -> str:
    entries = tensor.detach().double().flatten().tolist()
    return "(" + ", ".join(f"{entry:.6g}" for entry in entries[:6]) + (", …)" if len(entries) > 6 else ")")


def changed(space: dict, names: set[str], reference: dict) -> str | None:
    """Tensors of other types left in what the network holds, or another value of the network itself."""
    odd = odd_tensor({name: space[name] for name in names})
    if odd is not None and not reference.get(ODD) and odd_tensor({name: reference[name] for name in names}) is None:
        return f"The network is left with {odd}."
    x = reference["x"].detach().clone().requires_grad_()
    mine, theirs = space["net"](x), reference["net"](x)
    if type(mine) is not Tensor:
        return f"The network returns a {type(mine).__name__} afterwards."
    if _distance(mine, theirs) > 1e-5:
        return f"The network returns {_numbers(mine)} afterwards in place of {_numbers(theirs)}."
    return None


def odd_tensor(root: object) -> str | None:
    """The place of a tensor that is not a plain one, in what the names of a namespace hold."""
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, int, float, type(None))):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if type(value) not in PLAIN and type(value).__module__.startswith(("torch", "jetbench")):
                return f"a {type(value).__name__} at {path}"
            if torch._C._functorch.is_functorch_wrapped_tensor(value):
                return f"a tensor of a transformation at {path}"
            continue
        waiting += [(f"{path}.{name}", part) for name, part in _parts(value)]
    return None


def _parts(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(str(key), part) for key, part in value.items() if not str(key).startswith("__")]
    if isinstance(value, (list, tuple)):
        return [(str(place), part) for place, part in enumerate(value)]
    if isinstance(value, types.FunctionType):
        cells = [(n, c) for n, c in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)]
        return [(n, c.cell_contents) for n, c in cells] + list((value.__kwdefaults__ or {}).items())
    if isinstance(value, types.MethodType):
        return [("self", value.__self__)]
    if isinstance(value, types.ModuleType) or type(value).__module__.startswith(("torch._", "jetbench", "fuzz.")):
        return []
    held = list(getattr(value, "__dict__", {}).items()) if not isinstance(value, type) or is_of_program(value) else []
    slots = [n for n in getattr(type(value), "__slots__", ()) if isinstance(n, str) and hasattr(value, n)]
    return held + [(name, getattr(value, name)) for name in slots]


def is_of_program(kind: type) -> bool:
    return kind.__module__ in (NAME, "builtins") and kind.__name__[:1].isupper()


def is_network_at_fault(space: dict) -> bool:
    """Whether the network itself cannot be called with plain points."""
    try:
        with torch.no_grad():
            space["net"](space["x"].detach().clone())
    except Exception:
        return True
    return False
