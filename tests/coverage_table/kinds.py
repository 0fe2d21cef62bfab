"""The kinds of functions of the table, in its order, and the modules of a backend's folder that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

KINDS = {
    "activations": "activations",
    "networks": "networks",
    "arithmetic": "arithmetic",
    "elementwise": "elementwise",
    "reductions": "reductions",
    "indexing": "indexing",
    "products": "products",
    "linear algebra": "linalg",
    "control flow": "control_flow",
    "complex numbers": "complex_numbers",
    "shapes and types": "shapes",
}


def functions(package: str) -> dict[str, Mapping[str, Callable]]:
    """Kind → name → function of rows (N, 3) → (N, …)."""
    return {kind: import_module(f"{package}.{module}").FUNCTIONS for kind, module in KINDS.items()}
