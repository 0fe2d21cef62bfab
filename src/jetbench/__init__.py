"""Derivatives of neural networks: linear PDE operators, methods that evaluate them, and what each of them costs.

`linear_operator` and `collapse` are in `jetbench.torch` and `jetbench.jax`. The names here need no framework and are
loaded when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetbench import operators
    from jetbench.errors import Unsupported
    from jetbench.operators import estimators
    from jetbench.operators.symbol import variables

    __version__: str

__all__ = ["Unsupported", "__version__", "estimators", "operators", "variables"]


def __getattr__(name: str) -> Any:
    match name:
        case "operators":
            return import_module("jetbench.operators")
        case "estimators":
            return import_module("jetbench.operators.estimators")
        case "variables":
            return import_module("jetbench.operators.symbol").variables
        case "Unsupported":
            return import_module("jetbench.errors").Unsupported
        case "__version__":
            return import_module("importlib.metadata").version("jetbench")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
