"""JAX as the tests use it: 64 bits, and programs that are compiled quickly and not for speed."""

import jax

from jetbench.jax.compiling import compiled_quickly

jax.config.update("jax_enable_x64", True)


def compiled(function, fuses=False):
    """The function under `jax.jit`, with little optimization.

    Args:
        fuses: let XLA put operations into one kernel as it does by default, which rounds differently at kinks.
    """
    if fuses:
        return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
    return compiled_quickly(function)
