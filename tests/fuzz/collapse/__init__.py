"""A fuzzer of the pass `collapse`: random networks and operators, compared with what the pass makes of them.

`python -m fuzz.collapse --backend torch --cases 1000` runs it. `functions` draws them, the same in every backend;
`torch` and `jax` compare values, gradients and counts.
"""
