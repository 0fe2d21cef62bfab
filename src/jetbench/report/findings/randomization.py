"""Where randomization pays: from how many samples on an exact operator is cheaper than its estimate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jetbench.report import counts, labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import listed, method_phrase, operator_phrase, where
from jetbench.report.registry import figure, finding
from jetbench.report.slopes import fit

#: What an exact and a random evaluation share where their costs are compared.
SHARED = ["backend", "operator", "operator_options", "dim", "widths", "network", "activation", "dtype", "batch", "mode"]
DIMS = tuple(range(1, 21))


def crossings(data: Data) -> pd.DataFrame:
    """One row a (randomized case, mode): the cheapest exact and random methods, and where their costs cross.

    Columns: those of `SHARED`, case, estimator, random and exact (series), samples_by_vectors and samples_by_time (the
    numbers of samples above which the exact evaluation is cheaper), slope and intercept (of the random method's time),
    exact_s, exact_vectors, exact_error, most_samples (the largest number that was measured).
    """
    rows = []
    ok = data.ok
    curves = ok[(ok.axis == "samples") & ~ok.study.isin(labels.SNAPSHOTS)]
    for (case, _), own in curves.groupby(["case", "mode"], sort=False):
        about = own.iloc[0]
        exact = ok[(ok.estimator == "exact") & ~ok.series.map(labels.is_nested)]
        for name in SHARED:
            exact = exact[exact[name] == about[name]]
        lines = {}
        for series, curve in own.groupby("series", sort=False):
            line = fit(curve.x.to_numpy(), curve.time_s.to_numpy(dtype=float))
            if math.isfinite(line.slope) and line.slope > 0 and not labels.is_nested(series):
                lines[series] = line, fit(curve.x.to_numpy(), curve.vectors.to_numpy(dtype=float))
        if exact.empty or not lines:
            continue
        series = min(lines, key=lambda name: lines[name][0].slope)
        time, count = lines[series]
        best = exact.loc[exact.time_s.idxmin()]
        rows.append(
            {
                **{name: about[name] for name in SHARED},
                "case": case,
                "estimator": about.estimator,
                "random": series,
                "exact": best.series,
                "samples_by_vectors": (float(best.vectors) - count.intercept) / count.slope,
                "samples_by_time": (float(best.time_s) - time.intercept) / time.slope,
                "slope": time.slope,
                "intercept": time.intercept,
                "exact_s": float(best.time_s),
                "exact_vectors": int(best.vectors),
                "exact_error": float(best.relative_error),
                "most_samples": float(own[own.series == series].x.max()),
            }
        )
    names = ["case", "estimator", "random", "exact", "samples_by_vectors", "samples_by_time", "slope", "intercept"]
    return pd.DataFrame(rows, columns=[*SHARED, *names, "exact_s", "exact_vectors", "exact_error", "most_samples"])


def chosen(data: Data) -> pd.DataFrame:
    """Of `crossings` one row an operator: that of the first backend and mode in reading order."""
    found = crossings(data)
    first = labels.ordered(found, ["backend", "mode"]).drop_duplicates(["operator", "dim"]).index
    return found.loc[sorted(first)]


@figure(
    "randomization",
    "time of random estimates against samples, beside that of the exact operator",
    "Time of the random estimate against its number of samples S, in units of the fastest exact method (the line at 1)."
    " Right of the dotted line the exact operator is cheaper. Last panel: the samples with as many vectors.",
)
def draw(data: Data) -> Figure:
    """One panel a measured operator, in units of the exact one, and one that counts vectors over D."""
    found = chosen(data)
    if found.empty:
        raise NoData("No operator was measured both exactly and at random at the same size.")
    drawn = style.new(2.6)
    panels = drawn.subplots(1, len(found) + 1, squeeze=False)[0]
    shown: list[str] = []
    for axes, row in zip(panels, found.itertuples(), strict=False):
        curve = data.ok[(data.ok.case == row.case) & (data.ok["mode"] == row.mode) & (data.ok.series == row.random)]
        curve = curve.sort_values("x")
        look, exact = labels.look(row.random), labels.look(row.exact)
        bars = style.error_bars(curve.time_s, curve.time_low_s, curve.time_high_s) / row.exact_s
        kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
        axes.errorbar(curve.x, curve.time_s / row.exact_s, yerr=bars, gid="random", **kind)
        ends = np.array([0, max(curve.x.max(), 1.1 * row.samples_by_time)])
        axes.plot(ends, (row.intercept + row.slope * ends) / row.exact_s, color=look.colour, linewidth=0.8)
        axes.axhline(1, color=exact.colour, linestyle=exact.line, gid="exact")
        if row.samples_by_time > 0:
            axes.axvline(row.samples_by_time, color="0.5", linestyle=":", linewidth=0.8)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        title = f"{labels.operator_label(row.operator)}, $D$ = {row.dim}"
        axes.set_title(f"{title}\n{labels.backend_label(row.backend)} {row.mode}")
        axes.set_xlabel("Samples $S$")
        shown += [row.random, row.exact]
    panels[0].set_ylabel("Time / fastest exact method")
    counted = panels[-1]
    for series in ("apolar", "collapsed"):
        look = labels.look(series)
        samples = [(counts.per_datum(counts.polyharmonic(4, dim))[series] - 2) / 3 for dim in DIMS]
        counted.plot(DIMS, samples, color=look.colour, marker=look.marker, markersize=2.5, linestyle=look.line)
    counted.set_title("Biharmonic\ncounted")
    counted.set_xlabel("Dimension $D$")
    counted.set_ylabel("Samples with as many vectors")
    counted.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    counted.set_yscale("log")
    style.plain_ticks(counted.yaxis, *counted.get_ylim())
    style.legend(drawn, style.method_handles(labels.ranked([*shown, "apolar", "collapsed"], labels.SERIES)))
    read = "Points and line: the random estimate; horizontal: the fastest exact method; dotted: where they cross."
    style.footnote(drawn, data.place, read)
    return drawn


@finding("randomization", "Where does randomization pay?")
def sentence(data: Data) -> str | None:
    found = chosen(data)
    if found.empty:
        return None
    parts = []
    for row in found.itertuples():
        exact, random = method_phrase(row.exact), method_phrase(row.random)
        by_time = "any number of" if row.samples_by_time <= 1 else f"more than {row.samples_by_time:.0f}"
        beyond = ", beyond those measured" if row.samples_by_time > row.most_samples else ""
        place = f"{labels.backend_label(row.backend)} {row.mode}"
        parts.append(
            f"for the {operator_phrase(row.operator)} in {row.dim} dimensions ({place}) exact {exact} is cheaper than"
            f" an estimate from {by_time} samples by {random} ({row.samples_by_vectors:.0f} by counting"
            f" vectors{beyond})"
        )
    return f"Measured {where(data)}, {listed(parts)}."
