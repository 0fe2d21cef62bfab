"""JAX as the tests use it: 64 bits, and programs that are compiled quickly and not for speed."""

import jax

jax.config.update("jax_enable_x64", True)

QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def compiled(function):
    """The function under `jax.jit`, with little optimization."""
    return jax.jit(function, compiler_options=QUICK)
