"""The values that methods are judged by, which no derivative rule takes part in: `values.json`, and how it is made.

`python -m coverage_table.values` computes them anew from plain evaluations in both backends, which must agree where
both have the function, and writes the file.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from coverage_table.interpolation import agree, evaluate
from coverage_table.parameters import POINTS
from jetbench.atomic_files import replacing
from jetbench.errors import JetbenchError
from jetbench.operators.symbol import variables

#: JAX computes the softmax of its own attention in single precision, too rough for third derivatives of values; the
#: other name is the same function written out.
WRITTEN_OUT = {"fused_attention": "scaled_dot_product_causal"}
FILE = Path(__file__).with_name("values.json")
_XI = variables(3)
SYMBOLS = {
    "second": _XI[0] ** 2 + 2 * (_XI[1] * _XI[2]) - _XI[2] ** 2 + 0.5 * _XI[0] + 0.7,
    "third": _XI[0] * _XI[1] ** 2 - _XI[2] ** 3 + _XI[1] ** 2,
}


@dataclass(frozen=True)
class Value:
    """What an operator makes of a function at `parameters.POINTS`.

    Attributes:
        value: (N, …).
        error: an estimate of the largest error, relative to the largest value, or to 1 where all are smaller.
    """

    value: np.ndarray
    error: float


def of(backend: str, names: list[str] | None = None) -> dict[str, dict[str, Value]]:
    """Function → output → value, computed now from plain evaluations of a backend; of all functions by default."""
    held = importlib.import_module(f"coverage_table.{backend}")
    every = {name: function for inner in held.FUNCTIONS.values() for name, function in inner.items()}
    found = {}
    for name in every if names is None else [name for name in names if name in every]:
        outputs = evaluate(lambda x, centres, f=every[name]: held.plain(f, x, centres), SYMBOLS, POINTS)
        found[name] = {output: Value(*pair) for output, pair in outputs.items()}
    return found


def both(names: list[str] | None = None) -> dict[str, dict[str, Value]]:
    """As `of`, the more exact of both backends.

    Raises:
        JetbenchError: values of one function differ by more than their errors: it is another one in one backend.
    """
    found, others = of("jax", names), of("torch", names)
    twins = [(name, outputs, name) for name, outputs in others.items()]
    twins += [(name, found[same], same) for name, same in WRITTEN_OUT.items() if name in found]
    for name, outputs, same in twins:
        for output, value in outputs.items():
            mine = found[name][output]
            if not agree([(value.value, value.error), (mine.value, mine.error)]):
                raise JetbenchError(f"{name}, {output}: the value is not that of its twin {same}.")
            found[name][output] = min(value, mine, key=lambda v: v.error)
    return found


@cache
def known() -> Mapping[str, Mapping[str, Value]]:
    """What the file holds."""
    return {
        name: {
            output: Value(np.array(entry["value"], float).reshape(entry["shape"]), entry["error"])
            for output, entry in outputs.items()
        }
        for name, outputs in json.loads(FILE.read_text(encoding="utf-8")).items()
    }


def write(values: Mapping[str, Mapping[str, Value]]) -> None:
    """Write the file: one line a function, numbers with the digits that their error leaves."""
    lines = [f"{json.dumps(name)}: {json.dumps(_entries(outputs))}" for name, outputs in sorted(values.items())]
    with replacing(FILE) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _entries(outputs: Mapping[str, Value]) -> dict[str, dict]:
    return {
        output: {
            "shape": list(v.value.shape),
            "error": float(f"{v.error:.1e}"),
            "value": [float(f"{number:.13g}") for number in v.value.ravel()],
        }
        for output, v in outputs.items()
    }


if __name__ == "__main__":
    write(both())
