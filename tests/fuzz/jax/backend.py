"""What the judge needs of JAX."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import jax
import numpy as np

from fuzz.interpolation import COARSE, FINE
from fuzz.jax import programs
from fuzz.jax.reference import FromValues, Reference
from fuzz.judge import REFUSAL, execute, resume
from fuzz.program import Case, Program
from jetbench.jax.compiling import compiled_quickly

jax.config.update("jax_enable_x64", True)
draw, program = programs.draw, programs.program
TOLERANCE = 1e-7
_RUNS = itertools.count(1)


@contextlib.contextmanager
def pristine() -> Iterator[None]:
    """Drop what was compiled, once it is more than a few hundred megabytes."""
    yield
    if next(_RUNS) % 40 == 0:
        jax.clear_caches()


def expected(case: Case, program: Program) -> tuple[object, dict]:
    """The right result and the namespace it came from; raises where the network cannot bear what is done with it."""
    if "mixed" in program.traits:
        return _refusal(case, program)
    try:
        wanted, space = _result(case, program, lambda net: Reference(net, case.outputs, is_reverse=True))
    except Exception:  # loops without a fixed length have no reverse mode
        wanted, space = _result(case, program, lambda net: Reference(net, case.outputs, is_reverse=False))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(wanted)):
        raise ArithmeticError("The reference is not finite.")
    if case.use == "value" and not program.traits & {"author", "cut", "kinks"}:
        fine, coarse = (
            _result(case, program, lambda net, scheme=scheme: FromValues(net, case.outputs, scheme))[0]
            for scheme in (FINE, COARSE)
        )
        if _difference(fine, coarse, 1e-5) is None and _difference(wanted, fine, 1e-5) is not None:
            raise ValueError("JAX's own derivative is not that of the values.")
    return wanted, space


def _refusal(case: Case, program: Program) -> tuple[object, dict]:
    """For networks whose rows depend on each other: check that they do."""
    space = execute(case, program.network)
    x = space["x"]
    if "vmap" in case.use or case.rows < 2 or _difference(space["net"](x)[:1], space["net"](x[:1]), 1e-6) is None:
        raise ValueError("Nothing is mixed in this use.")
    return REFUSAL, space


def _result(case: Case, program: Program, reference: Callable) -> tuple[object, dict]:
    space = execute(case, program.network)
    space["operator"] = reference(space["net"])
    space["linear_operator"], space["collapse"] = _of_the_operator, lambda function: function
    space["xi"] = (0,)
    resume(f"{program.setup}\n{program.action}", space)
    return space["result"], space


def _of_the_operator(net: Callable, first: float, method: str) -> Callable:
    """∂₀ + 1/2, which the use "an operator of the operator" takes; xi[0] is 0 here."""
    del method
    return lambda x: jax.jvp(net, (x,), (jax.numpy.zeros_like(x).at[..., 0].set(1.0),))[1] + first * net(x)


def differs(case: Case, traits: set[str], found: object, wanted: object) -> str | None:
    """Where numbers, shapes or types differ."""
    del case, traits
    return _difference(found, wanted, TOLERANCE)


def _difference(found: object, wanted: object, tolerance: float) -> str | None:
    mine, theirs = jax.tree.leaves(found), jax.tree.leaves(wanted)
    if len(mine) != len(theirs):
        return f"{len(mine)} results in place of {len(theirs)}"
    for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"result {place} is of {a.shape}, {a.dtype} in place of {b.shape}, {b.dtype}"
        distance = np.abs(a - b).max(initial=0.0) / max(1.0, np.abs(b).max(initial=0.0))
        if not distance <= tolerance:
            return f"result {place}: {a.ravel()[:6]} in place of {b.ravel()[:6]}"
    return None


def changed(space: dict, names: set[str], reference: dict) -> str | None:
    """Whether the network itself still returns what it did."""
    del names
    mine, theirs = (compiled_quickly(lambda x, net=each["net"]: net(x))(each["x"]) for each in (space, reference))
    return _difference(mine, theirs, TOLERANCE)


def is_network_at_fault(space: dict) -> bool:
    """Whether the network itself cannot be called with plain points."""
    try:
        space["net"](space["x"])
    except Exception:
        return True
    return False
