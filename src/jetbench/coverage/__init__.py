"""Which functions each method gets right: a list of functions run through every method of a backend.

The functions lie in `jetbench.torch.coverage` and `jetbench.jax.coverage`: twins, file by file, in which one name means
one function, with the constants of `jetbench.coverage.parameters`.
"""
