"""How the methods of `jetbench.methods` are built in JAX: each class adds to a method there its evaluation."""

from __future__ import annotations

import sys

from jetbench.methods import Method, of_package

METHODS: dict[str, Method] = of_package("jax", sys.modules[__name__])
