"""The functions of the coverage table in JAX, rows (N, 3) → (N, …), by kind.

Twins of those in `coverage_table.torch`.
"""

from __future__ import annotations

from collections.abc import Callable

from jax import Array

from coverage_table.jax import (
    activations,
    arithmetic,
    complex_numbers,
    control_flow,
    elementwise,
    indexing,
    linalg,
    networks,
    products,
    reductions,
    shapes,
)
from coverage_table.jax.evaluation import INEXACT, ORDERS, applied, plain, reference

__all__ = ["FUNCTIONS", "INEXACT", "ORDERS", "applied", "plain", "reference"]

FUNCTIONS: dict[str, dict[str, Callable[[Array], Array]]] = {
    "activations": activations.FUNCTIONS,
    "networks": networks.FUNCTIONS,
    "arithmetic": arithmetic.FUNCTIONS,
    "elementwise": elementwise.FUNCTIONS,
    "reductions": reductions.FUNCTIONS,
    "indexing": indexing.FUNCTIONS,
    "products": products.FUNCTIONS,
    "linear algebra": linalg.FUNCTIONS,
    "control flow": control_flow.FUNCTIONS,
    "complex numbers": complex_numbers.FUNCTIONS,
    "shapes and types": shapes.FUNCTIONS,
}
