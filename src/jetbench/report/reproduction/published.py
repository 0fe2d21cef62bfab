"""The paper's numbers in the vocabulary of our records, and which of them belong beside which of our curves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

log = logging.getLogger(__name__)

#: The project's copy, beside the measured results.
FOLDER = Path(__file__).resolve().parents[4] / "results" / "published"
#: The same in a working directory, where the package is installed apart from its checkout.
HERE = Path("results") / "published"
WIDTHS, ACTIVATION, DTYPE = "768-768-512-512", "tanh", "float64"
AXES = {"batch_size": "batch", "num_samples": "samples", "rank_ratio": "rank"}
COSTS = {
    "time": "time",
    "peak_memory_differentiable": "memory_differentiable",
    "peak_memory_nondifferentiable": "memory_nondifferentiable",
}
#: Standard Taylor mode was jax.experimental.jet, and the forward Laplacian folx.
JAX = {"taylor": "jax_jet", "forward_laplacian": "folx"}
MATCHED = ["backend", "study", "operator", "dim", "estimator", "mode"]


@dataclass(frozen=True)
class Published:
    """`points`: measured points with ratios to nested; `slopes`: slopes with ratios to nested; in our column names."""

    points: pd.DataFrame
    slopes: pd.DataFrame

    def curves(self, about: pd.Series) -> pd.DataFrame:
        """Published points, of every method, of the case that a measured row or slope is of; empty if none."""
        return self.points[_matches(self.points, about)]

    def slope(self, about: pd.Series, series: str, metric: str) -> pd.Series | None:
        """The published slope of one series and metric for the case of a measured slope; None where there is none."""
        frame = self.slopes
        found = frame[_matches(frame, about) & (frame.series == series) & (frame.metric == metric)]
        return None if found.empty else found.iloc[0]


def load(folder: Path | None = None) -> Published:
    """The published tables from `folder` (by default the project's results/published); empty where there is none."""
    folder = Path(folder or (FOLDER if FOLDER.is_dir() else HERE))
    try:
        points = pd.read_csv(folder / "measurements.csv")
        slopes = pd.read_csv(folder / "slopes.csv")
    except FileNotFoundError:
        log.warning("No published numbers in %s: the report is made without them.", folder)
        return empty()
    return Published(_points(points), _slopes(slopes))


def empty() -> Published:
    """No published numbers."""
    names = [*MATCHED, "rank_ratio", "series"]
    return Published(pd.DataFrame(columns=[*names, "x"]), pd.DataFrame(columns=[*names, "metric"]))


def _vocabulary(frame: pd.DataFrame, study: str) -> pd.DataFrame:
    griewank = (
        (frame.framework == "torch")
        & (frame.operator == "biharmonic")
        & (frame["mode"] == "exact")
        & frame.method.isin(["taylor", "collapsed"])
    )
    method = frame.method.where(~griewank, frame.method + "_griewank")
    method = method.where(frame.framework != "jax", method.map(lambda name: JAX.get(name, name)))
    # The exact biharmonic in JAX was a jet of order 2 within another, which no method here is.
    nested_jet = (frame.framework == "jax") & (frame.operator == "biharmonic") & (frame["mode"] == "exact")
    return frame.assign(
        backend=frame.framework,
        study=frame[study].map(AXES),
        estimator=frame["mode"].map({"exact": "exact", "randomized": "normal"}),
        mode=frame.compiled.map({True: "compiled", False: "eager"}),
        dim=frame.operator.map({"biharmonic": 5}).fillna(50).astype(int),
        series=method.where(~(nested_jet & (method == "jax_jet")), "jax_jet_nested"),
    )


def _points(frame: pd.DataFrame) -> pd.DataFrame:
    axis = frame.study
    frame = _vocabulary(frame, "study").rename(columns={"batch_size": "batch", "num_samples": "samples"})
    frame["x"] = frame.batch.where(axis == "batch_size", frame.samples.where(axis == "num_samples", frame.rank_ratio))
    frame = frame.rename(
        columns={
            "time_best_s": "time_s",
            "peak_memory_differentiable_bytes": "memory_differentiable_bytes",
            "peak_memory_nondifferentiable_bytes": "memory_nondifferentiable_bytes",
        }
    )
    place = [*MATCHED, "_rank", "x"]
    frame["_rank"] = frame.rank_ratio.where(frame.study == "batch").fillna(0)
    costs = ["time_s", "memory_differentiable_bytes", "memory_nondifferentiable_bytes"]
    nested = frame[frame.series == "nested"][[*place, *costs]]
    joined = frame[place].merge(nested, on=place, how="left")
    joined.index = frame.index
    for cost in costs:
        frame[cost.removesuffix("_s").removesuffix("_bytes") + "_over_nested"] = frame[cost] / joined[cost]
    return frame.drop(columns=["_rank", "framework", "compiled", "distribution"])


def _slopes(frame: pd.DataFrame) -> pd.DataFrame:
    frame = _vocabulary(frame, "slope_per")
    return frame.assign(metric=frame.metric.map(COSTS)).drop(columns=["framework", "compiled", "slope_per"])


def _matches(frame: pd.DataFrame, about: pd.Series) -> pd.Series:
    """Rows of the same backend, study, operator, dim, estimator, mode and, in `batch`, rank.

    None for another network or dtype.
    """
    same = pd.Series(True, index=frame.index)
    if (about["widths"], about["activation"], about["dtype"]) != (WIDTHS, ACTIVATION, DTYPE):
        return ~same
    for name in MATCHED:
        same &= (frame[name] == about[name]).fillna(False).astype(bool)
    if about["study"] == "batch" and not pd.isna(about["rank_ratio"]):
        same &= (frame["rank_ratio"].astype(float) - about["rank_ratio"]).abs() < 1e-9
    return same
