"""`jetbench.jax.collapse`: the pass of `jetbench.collapse` for JAX.

A function's jaxpr is read into the neutral form (`lower` and the rules beside it; `loops` turns loops over directions
into batches), collapsed, and run with JAX's own primitives (`emit`).
"""
