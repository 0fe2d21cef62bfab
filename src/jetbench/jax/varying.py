"""The axes of a mesh along which arrays differ in `jax.shard_map`, and constants that differ along them too."""

from __future__ import annotations

from typing import Any

import jax
from jax import Array


def varying(aval: Any) -> frozenset:
    """The axes of a mesh along which an array in `jax.shard_map` differs, from its type."""
    manual = getattr(aval, "mat", None)  # since JAX 0.10.2; `vma` before
    return getattr(aval, "vma", frozenset()) if manual is None else manual.varying


def varying_like(constant: Array, x: Array) -> Array:
    """A JAX constant as an array that may differ between devices where x does, as `jax.shard_map` asks."""
    return made_varying(constant, varying(jax.typeof(x)))


def made_varying(x: Array, axes: frozenset) -> Array:
    """A JAX array as one that may differ along these axes of a mesh."""
    missing = tuple(sorted(axes - varying(jax.typeof(x))))
    return jax.lax.pcast(x, missing, to="varying") if missing else x
