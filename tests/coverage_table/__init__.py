"""Which functions each method gets right: a list of functions run through every method of a backend.

`python -m coverage_table` runs it. The functions are in `coverage_table.torch` and `coverage_table.jax`: twins, file by
file, in which one name means one function, with the constants of `coverage_table.parameters`.
"""
