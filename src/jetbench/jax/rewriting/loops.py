"""Control flow: loops whose steps do not depend on each other, as batches, and choices between platforms.

Such loops are `lax.map`, and `scan` and `fori_loop` that add up. A loop over directions that adds a derivative to an
accumulator is c + Σ_k g(x_k). As a batch it can be collapsed; it then needs memory for all steps at once, so that it is
only done while that stays below `BATCH_BYTES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from jetbench.collapse.graph import Node
from jetbench.jax.propagate import propagate
from jetbench.jax.rewriting.lower import Lowering, lowering
from jetbench.jax.rules.control_flow import scan_counts

BATCH_BYTES = 1 << 30


@lowering("scan")
def _scan(low: Lowering, eqn: Any, *operands: Node, **params: Any) -> list[Node] | None:
    """Σ and map over k: carried values that count are known in advance, those that only add up are sums."""
    body: ClosedJaxpr = params["jaxpr"]
    (consts, carries), length = scan_counts(params), params["length"]
    kinds = [_kind(body, consts, i) for i in range(carries)]
    if None in kinds:
        low.notes.append(
            f"A loop of {length} steps is left as it is: a value that it carries is neither a sum of independent terms "
            "nor a counter."
        )
        return None
    used = _bytes(body) * length
    if used > BATCH_BYTES:
        low.notes.append(
            f"A loop of {length} steps is left as it is: all steps at once would need {used / 2**30:.1f} GiB."
        )
        return None
    steps = np.arange(length)[::-1] if params["reverse"] else np.arange(length)

    def batched(*values: Any) -> list[Any]:
        fixed, start, xs = values[:consts], values[consts : consts + carries], values[consts + carries :]
        counters = [
            first + kind * jnp.asarray(steps, first.dtype) if kind != "sum" else None
            for first, kind in zip(start, kinds, strict=True)
        ]

        def one(counts: Sequence[Any], x: Sequence[Any]) -> list[Any]:
            carried = [
                jnp.zeros(first.shape, first.dtype) if kind == "sum" else count
                for first, kind, count in zip(start, kinds, counts, strict=True)
            ]
            return propagate(body.jaxpr, body.consts, [*fixed, *carried, *x])

        given = [jnp.zeros(length) if c is None else c for c in counters]
        results = jax.vmap(one)(given, list(xs))
        ends = [
            first + found.sum(0).astype(first.dtype)
            if kind == "sum"
            else first + jnp.asarray(kind * length, first.dtype)
            for first, kind, found in zip(start, kinds, results, strict=False)
        ]
        return [*ends, *results[carries:]]

    inner = jax.make_jaxpr(batched)(*[v.aval for v in eqn.invars])
    return low.inline(inner.jaxpr, inner.consts, operands)


@lowering("cond")
def _cond(low: Lowering, eqn: Any, which: Node, *operands: Node, **params: Any) -> list[Node] | None:
    """A choice by platform between ways to compute the same, of which only those for kernels are named: the other."""
    platforms = params.get("branches_platforms")
    if platforms is None or set(platforms) != {("mosaic",), None} or which.attributes[:1] != ("platform_index",):
        return None
    chosen = params["branches"][platforms.index(None)]
    return low.inline(chosen.jaxpr, chosen.consts, operands)


def _kind(body: ClosedJaxpr, consts: int, index: int) -> int | str | None:
    """What happens to a carried value: an int is added each time, a "sum" of independent terms, or something else."""
    jaxpr = body.jaxpr
    carried, result = jaxpr.invars[consts + index], jaxpr.outvars[index]
    users = [eqn for eqn in jaxpr.eqns if any(v is carried for v in eqn.invars)]
    if result is carried:
        return 0 if np.issubdtype(carried.aval.dtype, np.integer) and not carried.aval.shape else None
    producer = next((eqn for eqn in jaxpr.eqns if result in eqn.outvars), None)
    if producer is None or producer.primitive.name not in ("add", "add_any") or producer not in users:
        return None
    other = [v for v in producer.invars if v is not carried]
    if len(other) != 1:
        return None
    if isinstance(other[0], Literal) and not carried.aval.shape and np.issubdtype(carried.aval.dtype, np.integer):
        return int(other[0].val)
    used_once = len(users) == 1 and not any(v is carried for v in jaxpr.outvars)
    return "sum" if used_once and np.issubdtype(carried.aval.dtype, np.floating) else None


def _bytes(body: ClosedJaxpr) -> int:
    """Of everything that one step computes."""
    avals = [v.aval for eqn in body.jaxpr.eqns for v in eqn.outvars]
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in avals if hasattr(a.dtype, "itemsize"))
