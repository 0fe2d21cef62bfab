"""What is used of JAX without having a public name, in versions 0.10 and 0.11."""

from __future__ import annotations

from collections.abc import Hashable

from jax._src import config, core, debugging
from jax._src.lax import parallel
from jax._src.state.discharge import discharge_state
from jax.extend.core import ClosedJaxpr, Primitive

_NAMES = (
    "pvary_p", "psum_p", "psum_invariant_p", "ppermute_p", "all_gather_p", "all_gather_invariant_p", "reduce_scatter_p",
    "all_to_all_p",
)  # fmt: skip
LINEAR_EXCHANGES: tuple[Primitive, ...] = tuple(
    getattr(module, name) for name in _NAMES for module in (core, parallel) if hasattr(module, name)
)
PRINTS: tuple[Primitive, ...] = tuple(
    getattr(debugging, name) for name in ("debug_callback_p", "debug_print_p") if hasattr(debugging, name)
)


def context() -> Hashable:
    """What tracing depends on besides the function and the types of its arguments: settings, meshes, named axes."""
    return config.trace_context()


def without_references(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same computation with values in the place of the references that it makes for itself."""
    return discharge_state(closed) if closed.effects else closed


def maps_here(axis: object) -> bool:
    """Whether a `jax.vmap` with an axis of this name is under way, within the innermost `jax.jit` if there is one."""
    trace = core.trace_ctx.trace
    while trace is not None and type(trace).__name__ != "DynamicJaxprTrace":
        mapped = getattr(trace, "axis_data", None)
        if mapped is not None and mapped.name == axis:
            return True
        trace = getattr(trace, "parent_trace", None)
    return False


def is_option(value: object) -> bool:
    """Whether a parameter of a primitive is one of JAX's own types for options, whose text tells equal ones."""
    return type(value).__module__.startswith("jax._src.lax")
