"""What accuracy costs: the error that sampling leaves, against samples and time, and that of the exact operator."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.findings.randomization import chosen
from jetbench.report.phrases import method_phrase, operator_phrase, where
from jetbench.report.registry import figure, finding

#: What the sampling error depends on besides estimator and samples.
SUBJECT = ["operator", "operator_options", "dim", "network", "widths", "activation"]
#: Estimators whose draws are independent of each other: the error falls as S^(-1/2).
INDEPENDENT = ("normal", "rademacher")
MARKS = {"normal": ("0.1", "o", "-"), "rademacher": ("0.45", "s", (0, (4, 1.5))), "coordinate": ("0.65", "^", ":")}
#: The error whose price the sentence names.
WANTED = 0.01


def measured(data: Data) -> pd.DataFrame:
    """One row an estimator and number of samples of each subject; methods and modes share the error."""
    ok = data.ok[data.ok.sampling_error.notna() & data.ok.estimator.isin(list(labels.ESTIMATORS))]
    return labels.ordered(ok.drop_duplicates([*SUBJECT, "estimator", "samples"], keep="last"))


def prices(data: Data) -> pd.DataFrame:
    """The chosen crossings of `randomization` whose sampling error is known and falls as S^(-1/2).

    Column `least` is the error that was measured with the most samples, `most`; `unit` the error of a single direction
    that the measured ones extrapolate to; `wanted` the samples that leave an error of `WANTED` by that, and
    `wanted_over_exact` their time over that of the exact operator.
    """
    found = chosen(data)
    errors = measured(data)
    units, ends = [], []
    for row in found.itertuples():
        same = errors[errors.estimator == row.estimator]
        for name in SUBJECT:
            same = same[same[name] == getattr(row, name)]
        logarithms = np.log(same.sampling_error.astype(float) * np.sqrt(same.samples.astype(float)))
        known = row.estimator in INDEPENDENT and len(same) > 0
        units.append(math.exp(logarithms.mean()) if known else math.nan)
        last = same.sort_values("samples").iloc[-1] if known else None
        ends.append((last.samples, last.sampling_error) if known else (math.nan, math.nan))
    found = found.assign(unit=units, most=[end[0] for end in ends], least=[end[1] for end in ends])
    found = found[found.unit > 0]
    wanted = (found.unit / WANTED) ** 2
    return found.assign(wanted=wanted, wanted_over_exact=(found.intercept + found.slope * wanted) / found.exact_s)


@figure(
    "accuracy",
    "error of random estimates against samples and time, beside the exact operator's rounding error",
    "Upper panels: the distance of random estimates from the exact operator, against their number of samples S. Lower"
    " panels: the same against time; the line falls as S^(-1/2), the marker is the exact operator with its rounding"
    " error.",
)
def draw(data: Data) -> Figure:
    """One column a subject: error against samples above, and below it against time where both kinds were timed."""
    errors = measured(data)
    if errors.empty:
        raise NoData("No random estimate was compared with the exact operator here.")
    subjects = list(errors.groupby(SUBJECT, sort=False))
    priced = prices(data)
    rows = 2 if len(priced) else 1
    drawn = style.new(0.9 + 1.7 * rows)
    panels = drawn.subplots(rows, len(subjects), squeeze=False)
    for column, (_, own) in enumerate(subjects):
        about = own.iloc[0]
        upper = panels[0, column]
        for estimator, curve in own.groupby("estimator", sort=False):
            colour, marker, line = MARKS[estimator]
            curve = curve.sort_values("samples")
            kind = {"color": colour, "marker": marker, "linestyle": line}
            upper.plot(curve.samples.astype(float), curve.sampling_error, gid=f"measured-{estimator}", **kind)
        upper.set_title(f"{labels.operator_label(about.operator)}, $D$ = {about.dim}")
        upper.set_xlabel("Samples $S$")
        upper.set_xscale("log")
        upper.set_yscale("log")
        style.plain_ticks(upper.xaxis, *upper.get_xlim())
        style.plain_ticks(upper.yaxis, *upper.get_ylim())
        if rows == 2:
            same = priced.merge(about[SUBJECT].to_frame().T.astype(priced[SUBJECT].dtypes.to_dict()), on=SUBJECT)
            _against_time(panels[1, column], same)
    panels[0, 0].set_ylabel("Relative error")
    if rows == 2:
        panels[1, 0].set_ylabel("Relative error")
    shown = [name for name in MARKS if name in set(errors.estimator)]
    handles = [
        Line2D([], [], color=MARKS[name][0], marker=MARKS[name][1], linestyle=MARKS[name][2], label=text)
        for name, text in ((name, labels.ESTIMATORS[name][:1].upper() + labels.ESTIMATORS[name][1:]) for name in shown)
    ]
    methods = labels.ranked([*priced.random, *priced.exact], labels.SERIES)
    style.legend(drawn, [*handles, *style.method_handles(methods)])
    lower = "Lower panels: line, the random estimate by $S^{-1/2}$ and its cost a sample; marker, the exact operator."
    error = "Error: root mean square over draws, relative to the exact operator."
    style.footnote(drawn, data.place, error, lower if rows == 2 else None)
    return drawn


def _against_time(axes: Axes, priced: pd.DataFrame) -> None:
    """The error over the time of one subject; no panel without a price."""
    if priced.empty:
        axes.remove()
        return
    row = next(priced.itertuples())
    random, exact = labels.look(row.random), labels.look(row.exact)
    samples = np.geomspace(1, row.wanted, 50)
    times = (row.intercept + row.slope * samples) / row.exact_s
    axes.plot(times, row.unit / np.sqrt(samples), color=random.colour, gid="random")
    kind = {"color": exact.colour, "marker": exact.marker, "linestyle": "none", "markersize": 7}
    axes.plot([1], [row.exact_error], gid="exact", **kind)
    axes.set_title(f"{row.mode}, {row.dtype}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Time / exact")
    axes.margins(x=0.15, y=0.1)
    style.plain_ticks(axes.xaxis, *axes.get_xlim())


def _rounded(number: float) -> str:
    """Two digits, since that is what the measured error is known to."""
    return f"{float(f'{number:.2g}'):,g}"


@finding("accuracy", "What does a random estimate's accuracy cost?")
def sentence(data: Data) -> str | None:
    parts = []
    for row in prices(data).itertuples():
        times = f"{_rounded(row.wanted_over_exact)} times"
        parts.append(
            f"for the {operator_phrase(row.operator)} in {row.dim} dimensions {row.most:g} of the"
            f" {labels.ESTIMATORS[row.estimator]} leave a relative error of {row.least:.0%}; since it falls with the"
            f" square root of their number, {WANTED:.0%} would take about {_rounded(row.wanted)} of them, {times} the"
            " time of the exact operator by"
            f" {method_phrase(row.exact)} ({row.mode}), whose error is that of rounding"
        )
    return f"Measured {where(data)}, {'; '.join(parts)}." if parts else None
