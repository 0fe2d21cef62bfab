"""Checking that a network treats the rows of x as independent points.

First by following the leading axes of x through the jaxpr (`independence`), which costs nothing; where that cannot
tell, by running the network: `mixing` says on what, `concrete` how.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.errors import JetbenchError, MixedRows, NetworkFailed
from jetbench.jax import concrete, exchange
from jetbench.jax.capture import capture
from jetbench.jax.compiling import compiled_quickly
from jetbench.jax.independence import are_independent
from jetbench.mixing import Trial, Undecided, are_mixed

ROWS = 4  # where the number of rows is a symbol, as under jax.export


def check(net: Callable[[Array], Array], captured: ClosedJaxpr, x: Array, passed: set[bytes]) -> None:
    """Raise where rows of x influence each other, or the output lacks the leading axes of x.

    What has to be run is run once: what passes is noted in `passed`. Parameters that are being traced are replaced by
    random numbers. A network that cannot be run on numbers is taken to be right, with a warning.

    Raises:
        MixedRows: rows are mixed.
        JetbenchError: the network returns something that does not begin with the leading axes of x, or exchanges values
            with other devices of which nothing is known.
    """
    leading, shape = x.shape[:-1], captured.out_avals[0].shape
    if shape[: len(leading)] != leading:
        raise JetbenchError(
            f"The network maps x of shape {tuple(x.shape)} to {tuple(shape)}: its output must keep the leading axes "
            f"{tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
        )
    exchange.check(captured.jaxpr, x)
    if are_independent(captured.jaxpr, len(leading)):
        return
    numbers = jax.ShapeDtypeStruct([n if isinstance(n, int) else ROWS for n in x.shape], x.dtype)
    rows = prod(numbers.shape[:-1])
    if rows < 2 or 0 in shape:
        return
    if not all(isinstance(n, int) for n in (*leading, *shape)):
        try:
            captured = capture(net, numbers)
        except NetworkFailed as error:
            _warn(error)
            return
    key = _identity(captured)
    if key in passed:
        return
    with _undisturbed():
        trial = _Runs(captured, numbers)
        mixed = are_mixed(trial, rows, x.shape[-1])
    if mixed:
        raise MixedRows(
            "The network mixes rows of x: the value at one point depends on other points of the batch, as in a "
            "batch norm in training mode, a sum over the batch or a decision by all of its rows. Use running "
            "statistics, or let the mixed axes be coordinates of one point."
        )
    if trial.failure is not None:
        _warn(trial.failure)
    passed.add(key)


def _warn(failure: Exception) -> None:
    warnings.warn(
        "jetbench could not run the network to see whether it keeps rows of x apart, and takes it that it does: "
        f"{type(failure).__name__}: {str(failure)[:200]}",
        stacklevel=3,
    )


def _identity(captured: ClosedJaxpr) -> bytes:
    """What a computation is, but for the values of parameters; whole numbers may say which rows are taken."""
    found = hashlib.sha256(re.sub("0x[0-9a-f]+", "", str(captured.jaxpr)).encode())
    for constant in captured.consts:
        if not isinstance(constant, (jax.core.Tracer, jax.Ref)) and _is_whole(constant):
            found.update(np.asarray(constant).tobytes())
    return found.digest()


def _is_whole(constant: Any) -> bool:
    dtype = jax.typeof(constant).dtype
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Values are known at once, and may be NaN and infinite."""
    with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
        yield


class _Runs(Trial):
    """Runs of a jaxpr on numbers.

    Attributes:
        failure: why it could not be run, until it has been run once.
    """

    def __init__(self, captured: ClosedJaxpr, x: jax.ShapeDtypeStruct) -> None:
        self.shape, self.dtype, self.rows = x.shape, x.dtype, prod(x.shape[:-1])
        types = [x.dtype, captured.out_avals[0].dtype]
        self.eps = max(float(jnp.finfo(t).eps) for t in types if jnp.issubdtype(t, jnp.inexact))
        self.tiny = float(jnp.finfo(x.dtype).tiny)
        self.decides = concrete.has_loop(captured.jaxpr)
        self.failure: Exception | None = None
        self._has_run = False
        random = np.random.default_rng(0)
        constants = [_concrete(constant, random) for constant in captured.consts]

        jaxpr = captured.jaxpr
        are_refs = [isinstance(constant, jax.Ref) for constant in captured.consts]

        def run(x: Array) -> Array:
            x, *given = (
                _placed(v, to.aval) for v, to in zip([x, *constants], [*jaxpr.invars, *jaxpr.constvars], strict=True)
            )
            given = [jax.new_ref(value) if is_ref else value for value, is_ref in zip(given, are_refs, strict=True)]
            return concrete.run(jaxpr, given, [x])[0]

        self._run = compiled_quickly(run)

    def run(self, points: np.ndarray, is_familiar: bool) -> np.ndarray:
        del is_familiar
        try:
            y = np.asarray(self._run(jnp.asarray(points.reshape(self.shape), self.dtype)))
        except Exception as error:
            self.failure = None if self._has_run else error
            raise Undecided from error
        self.failure, self._has_run = None, True
        return y.astype(complex if np.iscomplexobj(y) else float).reshape(self.rows, -1)


def _concrete(constant: Any, random: np.random.Generator) -> Any:
    """A constant's value, or random numbers where it is not known yet."""
    if isinstance(constant, jax.Ref):
        constant = constant[...]
    if not isinstance(constant, jax.core.Tracer):
        return constant
    if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0, impl=str(jax.random.key_impl(constant))), constant.shape)
    if not jnp.issubdtype(constant.dtype, jnp.inexact):
        return jnp.zeros(constant.shape, constant.dtype)
    return jnp.asarray(random.random(constant.shape), constant.dtype)


def _placed(value: Array, aval: Any) -> Array:
    """A value spread over devices as its type says, where types say so (axes of a mesh that are `Explicit`)."""
    spec = getattr(getattr(aval, "sharding", None), "spec", ())
    return jax.sharding.reshard(value, spec) if any(axis is not None for axis in spec) else value
