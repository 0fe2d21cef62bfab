"""A rule of thumb for the time of a method, fitted to the records of one machine, and the ranking that follows.

For each backend, method, mode and type the time of an evaluation is modelled as

    t = a + b · batch · vectors · F + c · batch · vectors · Σ widths,

with F the floating-point operations of one vector's way through the matrix products of the network: a call, its matrix
products, and its elementwise work. The coefficients are not negative and minimize relative errors. The typical error is
the median of those that the rule makes at each record when fitted without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from rich.table import Table
from scipy.optimize import nnls

from jetbench.errors import JetbenchError
from jetbench.report import labels

LEAST = 4
RULE = ["backend", "series", "mode", "dtype"]


@dataclass(frozen=True)
class Size:
    """What is asked for: an operator of order `order`, and a fully connected network at a batch."""

    operator: str
    order: int
    dim: int
    widths: tuple[int, ...]
    outputs: int
    batch: int

    @property
    def operations(self) -> float:
        """F: of one vector through all matrix products."""
        sizes = (self.dim, *self.widths, self.outputs)
        return float(2 * sum(a * b for a, b in pairwise(sizes)))


@dataclass(frozen=True)
class Prediction:
    """One line of the ranking."""

    backend: str
    series: str
    mode: str
    vectors: int
    seconds: float
    error: float
    records: int
    beyond: tuple[str, ...]


def features(records: pd.DataFrame) -> np.ndarray:
    """(P, 3): 1, batch · vectors · F, batch · vectors · Σ widths, of each record."""
    work = records.vectors.astype(float) * records.network_flops.astype(float)
    neurons = records.widths.map(lambda text: sum(map(int, str(text).split("-")))).astype(float)
    return np.column_stack([np.ones(len(records)), work, records.batch.astype(float) * records.vectors * neurons])


def fitted(matrix: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The coefficients (3,), none negative, with the least squared relative error; `matrix` is (P, 3)."""
    scale = matrix.max(0)
    scale[scale == 0] = 1
    return nnls(matrix / scale / seconds[:, None], np.ones(len(seconds)))[0] / scale


def typical_error(matrix: np.ndarray, seconds: np.ndarray) -> float:
    """Median relative error at a record of the rule that was fitted without it."""
    errors = []
    for place in range(len(seconds)):
        kept = np.arange(len(seconds)) != place
        errors.append(abs(matrix[place] @ fitted(matrix[kept], seconds[kept]) / seconds[place] - 1))
    return float(np.median(errors))


def ranking(
    records: pd.DataFrame, size: Size, dtype: str, vectors: Callable[[str, str], int | None]
) -> list[Prediction]:
    """The methods that have a rule and can do the operator, the fastest first.

    Args:
        records: of one machine.
        vectors: (backend, series) → vectors per datum for the operator, None where the method cannot do it.

    Raises:
        JetbenchError: no method has enough records of this type.
    """
    ok = records[(records.status == "ok") & (records.dtype == dtype) & (records.network == "mlp")]
    ok = ok[ok.vectors.notna() & ok.network_flops.notna() & (ok.vectors.astype("float64") > 0)]
    found = []
    for (backend, series, mode, _), own in ok.groupby(RULE, sort=False):
        count = vectors(backend, series) if len(own) >= LEAST else None
        if count is None:
            continue
        matrix, seconds = features(own), own.time_s.to_numpy(dtype=float)
        here = np.array([1.0, size.batch * count * size.operations, size.batch * count * sum(size.widths)])
        time = float(here @ fitted(matrix, seconds))
        beyond = tuple(_beyond(own, size, count))
        found.append(Prediction(backend, series, mode, count, time, typical_error(matrix, seconds), len(own), beyond))
    if not found:
        known = ", ".join(sorted(set(records.dtype.dropna()))) or "none"
        raise JetbenchError(
            f"No method has {LEAST} records of fully connected networks in {dtype} that can do {size.operator} here"
            f" (types with records: {known}). Measure: jetbench compare --operator {size.operator} --dim {size.dim}."
        )
    return sorted(found, key=lambda line: line.seconds)


def _beyond(own: pd.DataFrame, size: Size, count: int) -> list[str]:
    """In what respect the records of a method do not reach the size that is asked for."""
    told = []
    if size.operator not in set(own.operator):
        same = "" if size.order in set(own.order.dropna().astype(int)) else f" nor another of order {size.order}"
        told.append(f"{size.operator} was not measured{same}")
    widest = own.widths.map(lambda text: max(map(int, str(text).split("-"))))
    work = own.vectors.astype(float) * own.network_flops.astype(float)
    for name, here, known in [
        ("batch", size.batch, own.batch.astype(float)),
        ("width", max(size.widths), widest.astype(float)),
        ("operations", size.batch * count * size.operations, work),
    ]:
        if not known.min() <= here <= known.max():
            told.append(f"{name} {here:.3g} is outside {known.min():.3g} to {known.max():.3g}")
    return told


def table(found: list[Prediction], size: Size, machine: str) -> Table:
    """The ranking with the evidence of each line, for a terminal."""
    title = f"{labels.operator_label(size.operator)}, D = {size.dim}, widths {'-'.join(map(str, size.widths))}"
    made = Table(title=f"{title}, batch {size.batch}: predicted for {machine}", title_justify="left")
    for name in ("", "method", "mode"):
        made.add_column(name, no_wrap=True)
    for name in ("vectors", "time / best", "error ±", "records"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("extrapolates", overflow="fold")
    for place, line in enumerate(found, 1):
        name = labels.series_label(line.series) + ("" if line.backend == "torch" else f" ({line.backend})")
        ratio = labels.ratio_text(line.seconds / found[0].seconds)
        cells = [str(place), name, line.mode, str(line.vectors), ratio, f"{line.error:.0%}", str(line.records)]
        made.add_row(*cells, "; ".join(line.beyond) or "no")
    return made


def advice(found: list[Prediction]) -> str:
    """One sentence: what to take, and how far the next one is."""
    best = found[0]
    others = [line for line in found[1:] if line.series != best.series or line.backend != best.backend]
    several = len({line.backend for line in found}) > 1

    def named(line: Prediction) -> str:
        return ", ".join([labels.series_label(line.series), *([line.backend] if several else []), line.mode])

    text = f"Take {named(best)}."
    if others:
        ratio, error = others[0].seconds / best.seconds, max(best.error, others[0].error)
        close = " The rule is not sharp enough to tell them apart: measure both." if ratio - 1 < error else ""
        text += f" The next method, {named(others[0])}, is predicted at {labels.ratio_text(ratio)} of its time.{close}"
    if any(line.beyond for line in found[:2]):
        text += " This extrapolates beyond the records (last column): check it with `jetbench compare`."
    return text


def counting(operator: str, options: Mapping[str, object]) -> tuple[int, int, Callable[[str, str], int | None]]:
    """Order of an operator, the outputs it needs, and its vectors by (backend, series).

    Raises:
        JetbenchError: there is no such operator, or a backend is not installed.
    """
    from jetbench import operators
    from jetbench.measure.backends import backend_module
    from jetbench.operators.problem import Problem

    try:
        made = operators.make(operator, **options)
    except ValueError as error:
        raise JetbenchError(str(error)) from error

    def vectors(backend: str, series: str) -> int | None:
        method = series.removesuffix("_griewank")
        problem = Problem(made, scheme="griewank" if series.endswith("_griewank") else "polarization")
        return backend_module(backend).vectors(method, problem)[0]

    return made.order, made.components or 1, vectors
