"""How methods, operators and cases are named, drawn and ordered, the same in all tables and figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jetbench.methods import METHODS

GRIEWANK = "_griewank"


@dataclass(frozen=True)
class Look:
    """How a series is drawn: `line` is a line style of matplotlib, `terminal` the colour in a terminal, if any."""

    label: str
    colour: str
    marker: str
    line: Any = ":"
    terminal: str | None = None


#: Colour, marker and line of the methods, and of those with the paper's directions. The paper's colours are kept
#: (nested blue, standard orange, collapsed green) in the tones of Okabe and Ito, which readers with any colour vision
#: can tell apart; marker and line style repeat the distinction for print in grey.
_LOOKS: dict[str, tuple] = {
    "nested": ("#0072B2", "o", "-", "blue"),
    "nested_reverse": ("#56B4E9", "h", (0, (1, 1)), "bright_blue"),
    "jax_jet": ("#8C1400", "X", (0, (3, 1))),
    "jet_for_pytorch_standard": ("#DCC878", "p", (0, (1, 1))),
    "taylor_griewank": ("#B07500", "<", (0, (2, 1.2))),
    "taylor": ("#E69F00", "s", (0, (5, 1.5)), "yellow"),
    "folx": ("#141414", "P", (0, (3, 1, 1, 1))),
    "stock_rewrite": ("#101074", "8", (0, (1, 2))),
    "collapsed_rewrite": ("#74D8B0", "*", (0, (3, 1, 1, 1))),
    "forward_laplacian": ("#CC79A7", "v", (0, (4, 1, 1, 1))),
    "jet_for_pytorch": ("#3C50DC", "d", (0, (1, 1))),
    "collapsed_griewank": ("#00543D", ">", (0, (2, 1.2))),
    "collapsed": ("#009E73", "^", "-", "green"),
    "apolar": ("#5A0A4A", "D", (0, (6, 1, 1, 1, 1, 1))),
}


def _series() -> Iterator[tuple[str, Look]]:
    for name, method in METHODS.items():
        for series, label in ((f"{name}{GRIEWANK}", f"{method.label} (Griewank)"), (name, method.label)):
            if series in _LOOKS:
                yield series, Look(label, *_LOOKS[series])


#: Series → how it is drawn, from the most to the fewest vectors; unknown ones come after these in alphabetical order.
SERIES: dict[str, Look] = dict(_series())
#: Looks of methods that are not listed, in alphabetical order of their names.
SPARE = [("#000000", "H"), ("#777777", "X"), ("#5B5BD6", "p"), ("#8C6D31", "*")]
#: What all methods are compared with, and the methods that the project is about, from the most to the fewest vectors.
REFERENCE = "nested"
CHAIN = ("nested", "taylor", "collapsed", "apolar")
#: Taylor mode in JAX that multiplies dense zeros, and the same mode without them.
STOCK, AWARE = "jax_jet", "taylor"
#: The compiler pass: before it, after it, and the scheme derived by hand.
REWRITTEN = ("taylor", "stock_rewrite", "collapsed_rewrite", "collapsed")
#: Method of a public library → the method of this suite that does the same.
PEERS = {"jax_jet": "taylor", "jet_for_pytorch_standard": "taylor", "folx": "collapsed", "jet_for_pytorch": "collapsed"}
#: Published series that are not a method here.
PUBLISHED_ONLY = {"jax_jet_nested": "Nested stock jets"}


def is_nested(series: str) -> bool:
    """Whether a series nests first-order derivatives."""
    return series in METHODS and METHODS[series].is_nested


def is_directional(method: str) -> bool:
    """Whether the cost of a method depends on the scheme by which directions are found."""
    return method in METHODS and METHODS[method].is_directional


def look(series: str, shown: Iterable[str] = ()) -> Look:
    """How a series is drawn; unknown ones take a spare look by their place among the unknown ones `shown`."""
    if series in SERIES:
        return SERIES[series]
    unknown = [name for name in ranked([*shown, series], SERIES) if name not in SERIES]
    return Look(series_label(series), *SPARE[unknown.index(series) % len(SPARE)])


OPERATORS: dict[str, str] = {
    "laplacian": "Laplacian",
    "weighted_laplacian": "Weighted Laplacian",
    "biharmonic": "Biharmonic",
    "triharmonic": "Triharmonic",
    "kdv": "KdV",
    "fokker_planck": "Fokker–Planck",
    "black_scholes": "Black–Scholes",
    "navier_stokes": "Navier–Stokes",
    "kadomtsev_petviashvili": "Kadomtsev–Petviashvili",
    "kuramoto_sivashinsky": "Kuramoto–Sivashinsky",
    "cahn_hilliard": "Cahn–Hilliard",
}
#: x-axis → its label.
AXES = {
    "batch": "Batch size (points)",
    "samples": "Samples (directions)",
    "rank": "Rank / dimension",
    "width": "Width (neurons)",
    "depth": "Depth (hidden layers)",
    "dimension": "Dimension $D$ (coordinates)",
}
LOGARITHMIC = ("batch", "width", "dimension")
#: Studies that vary something else than their axis: their costs are not curves.
SNAPSHOTS = ("operators", "precision", "networks", "accuracy", "peers")
STUDIES = (*AXES, *SNAPSHOTS)
FLOOR = "The floor is the time of the network's matrix products alone, on the fewest vectors that are known to suffice."
NETWORKS = {
    "mlp": "MLP",
    "residual_mlp": "residual MLP",
    "layernorm_mlp": "MLP with LayerNorm",
    "attention": "attention",
}
BACKENDS = {"torch": "PyTorch", "jax": "JAX"}
MODES = ("eager", "compiled")
ESTIMATORS = {
    "normal": "normal directions",
    "rademacher": "Rademacher directions",
    "coordinate": "random coordinates",
}


def series_label(series: str) -> str:
    """A method's name for readers."""
    method = series.removesuffix(GRIEWANK)
    if series in SERIES:
        return SERIES[series].label
    if series != method:
        return f"{series_label(method)} (Griewank)"
    known = METHODS[series].label if series in METHODS else PUBLISHED_ONLY.get(series)
    return known or series.replace("_", " ").capitalize()


def backend_label(backend: str) -> str:
    """A backend's name for readers."""
    return BACKENDS.get(backend, backend)


def operator_label(operator: str) -> str:
    """An operator's name for readers."""
    return OPERATORS.get(operator) or operator.replace("_", " ").capitalize()


def ratio_text(value: float) -> str:
    """A ratio with two decimals, or two digits where it is below a tenth."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def ranked(values: object, known: object) -> list[str]:
    """The distinct values in the order of `known`, then the others alphabetically."""
    known = list(known)
    return sorted(set(values), key=lambda v: (known.index(v), "") if v in known else (len(known), str(v)))


ORDERS = {
    "study": STUDIES,
    "backend": BACKENDS,
    "operator": OPERATORS,
    "estimator": ("exact", *ESTIMATORS),
    "mode": MODES,
    "series": SERIES,
}
READING = ("study", "backend", "operator", "rank_ratio", "dim", "estimator", "case", "mode", "series", "x")


def ordered(frame: pd.DataFrame, by: Iterable[str] = READING) -> pd.DataFrame:
    """Rows in reading order: by these columns, full rank first, names in the order of `ORDERS`."""
    keys = pd.DataFrame({name: _positions(frame[name]) for name in by if name in frame}, index=frame.index)
    return frame.loc[keys.sort_values(list(keys), kind="stable").index]


def _positions(column: pd.Series) -> pd.Series:
    if column.name in ORDERS:
        return column.map({name: i for i, name in enumerate(ranked(column.dropna(), ORDERS[column.name]))})
    return -column.fillna(0) if column.name == "rank_ratio" else column


DISTINGUISHING = ("dtype", "network", "widths", "activation", "outputs", "batch", "samples", "device")


def case_labels(frame: pd.DataFrame, *, dim: bool = True) -> dict[str, str]:
    """Case → label for the cases in `frame`: operator, D, rank and estimator, and what else tells two of them apart.

    The backend is named where there are several, and where it is not PyTorch.
    """
    cases = frame.drop_duplicates("case")
    several = set(cases.backend) != {"torch"}
    labels = {row.case: _base_label(row, dim, several) for row in cases.itertuples()}
    for label in set(labels.values()):
        same = cases[cases.case.map(labels) == label]
        if len(same) < 2:
            continue
        varying = [name for name in DISTINGUISHING if same.groupby("case")[name].first().nunique(dropna=False) > 1]
        for row in same.itertuples():
            extra = ", ".join(_distinction(name, getattr(row, name)) for name in varying if name != row.axis)
            labels[row.case] = f"{label} ({extra})" if extra else label
    return labels


def case_names(frame: pd.DataFrame) -> dict[str, str]:
    """Case → label of all cases of a frame; those of one study are told apart within it."""
    return {case: name for _, study in frame.groupby("study") for case, name in case_labels(study).items()}


def _distinction(name: str, value: object) -> str:
    return NETWORKS.get(value, str(value)) if name == "network" else f"{name} {value}"


def _base_label(row: object, dim: bool, backend: bool) -> str:
    parts = [operator_label(row.operator)]
    if dim and row.axis != "dimension":
        parts.append(f"D = {row.dim}")
    if row.axis != "rank" and not pd.isna(row.rank_ratio) and row.rank_ratio != 1:
        parts.append(f"rank {row.rank_ratio:.3g} D")
    options = {k: v for k, v in json.loads(row.operator_options or "{}").items() if _worth_naming(k, v)}
    parts += [f"{name} {value}" for name, value in sorted(options.items())]
    if row.estimator in ESTIMATORS:
        parts.append(ESTIMATORS[row.estimator])
    if backend:
        parts.append(backend_label(row.backend))
    return ", ".join(parts)


def _worth_naming(name: str, value: object) -> bool:
    return name not in ("dim", "rank", "seed") and isinstance(value, (int, float, str)) and not isinstance(value, bool)
