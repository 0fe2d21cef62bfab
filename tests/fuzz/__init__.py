"""A fuzzer of programs: random networks made of random pieces of Python, and what people do with their operators.

`python -m fuzz --cases 500` runs it. Each program is Python source text, so that one that fails can be pasted and run.
`places` says where a program keeps its numbers and tensors, `draft` collects its pieces; `torch` and `jax` hold the
pieces, the uses and the reference of each backend; `judge` compares and `shrink` makes failing programs small.
"""
