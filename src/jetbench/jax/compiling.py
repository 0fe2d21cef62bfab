"""Compiling programs that run once."""

from __future__ import annotations

from collections.abc import Callable

import jax

OLD_FUSION = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}  # XLA knows it no more
_OF_XLA_ON_CPU = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_parallel_codegen_split_count": 1,
    **OLD_FUSION,
}


def compiled_quickly(function: Callable) -> Callable:
    """The function under `jax.jit`, on a CPU with little optimization: compiling takes most of the time of one run."""
    return jax.jit(function, compiler_options=_OF_XLA_ON_CPU if jax.default_backend() == "cpu" else None)
