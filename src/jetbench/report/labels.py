"""What things are called in tables and figures, and the order in which they are shown, everywhere the same."""

from __future__ import annotations

import json

import pandas as pd

#: From the most to the fewest vectors; unknown methods come after these in alphabetical order.
SERIES: dict[str, str] = {
    "nested": "Nested",
    "nested_reverse": "Nested (reverse)",
    "jax_jet": "Standard Taylor (stock jet)",
    "jet_for_pytorch_standard": "Standard Taylor (jet-for-pytorch)",
    "taylor_griewank": "Standard Taylor (Griewank)",
    "taylor": "Standard Taylor",
    "folx": "Forward Laplacian (folx)",
    "stock_rewrite": "Forward over forward (rewritten)",
    "collapsed_rewrite": "Standard Taylor (rewritten)",
    "forward_laplacian": "Forward Laplacian",
    "jet_for_pytorch": "Collapsed Taylor (jet-for-pytorch)",
    "collapsed_griewank": "Collapsed Taylor (Griewank)",
    "collapsed": "Collapsed Taylor",
    "apolar": "Apolar Taylor",
}
#: What was published of methods that no method here is.
PUBLISHED_ONLY = {"jax_jet_nested": "Nested stock jets"}
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
#: Studies that vary something else than their axis: their costs are no curves.
SNAPSHOTS = ("operators", "precision", "networks", "accuracy", "peers")
STUDIES = ("batch", "samples", "rank", "width", "depth", "dimension", *SNAPSHOTS)
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
    method = series.removesuffix("_griewank")
    if series != method and series not in SERIES:
        return f"{series_label(method)} (Griewank)"
    return SERIES.get(series) or PUBLISHED_ONLY.get(series) or series.replace("_", " ").capitalize()


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


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in reading order: study, backend, operator, rank (full first), dimension, estimator, mode, method, place."""
    positions = {
        "study": {v: i for i, v in enumerate(ranked(frame.study.dropna(), STUDIES))},
        "backend": {v: i for i, v in enumerate(ranked(frame.backend.dropna(), BACKENDS))},
        "operator": {v: i for i, v in enumerate(ranked(frame.operator.dropna(), OPERATORS))},
        "mode": {v: i for i, v in enumerate(ranked(frame["mode"].dropna(), MODES))},
        "series": {v: i for i, v in enumerate(ranked(frame.series.dropna(), SERIES))},
        "estimator": {v: i for i, v in enumerate(ranked(frame.estimator.dropna(), ["exact", *ESTIMATORS]))},
    }
    keys = frame.assign(**{name: frame[name].map(order) for name, order in positions.items()})
    keys["rank_ratio"] = -keys.rank_ratio.fillna(0)
    names = ["study", "backend", "operator", "rank_ratio", "dim", "estimator", "case", "mode", "series"]
    names += ["x"] if "x" in keys else []
    return frame.loc[keys.sort_values(names, kind="stable").index]


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
