"""The figure "standard Taylor mode is not enough": JAX's methods beside each other, with the paper's numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import dense_zeros, labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.overview import bars
from jetbench.report.tables import Data, as_published, reference_points

SUBJECTS = ("laplacian", "biharmonic")


@figure(
    "batch_standard_taylor", "standard Taylor mode is not enough: stock, zero-aware and collapsed Taylor mode in JAX"
)
def draw(data: Data) -> Figure:
    """Bars: vectors per datum (a count) and time over nested (a measurement), with the published ratios."""
    records = data.records[(data.records.backend == "jax") & (data.records.study != "operators")]
    records = as_published(records)
    points = reference_points(records[(records.axis == "batch") & (records.estimator == "exact")])
    points = points[points.operator.isin(SUBJECTS)]
    if points.empty:
        raise NoData("No measured Laplacian or biharmonic in JAX.")
    subjects = labels.ranked(points.operator, SUBJECTS)
    shown = labels.ranked(points.series, labels.SERIES)
    drawn = style.new(0.3 * len(shown) + 1.1)
    panels = drawn.subplots(1, 2 * len(subjects), squeeze=False)[0]
    published_seen = False
    for operator, left, right in zip(subjects, panels[::2], panels[1::2], strict=True):
        own = points[points.operator == operator]
        own = own[own.case == own.groupby("case").series.nunique().idxmax()]
        found = own.drop_duplicates("series").set_index("series").reindex(shown)
        ratios = found.time_over_nested
        counted = found.vectors.astype("float64")
        bars(left, shown, counted.to_numpy(), [f"{count:g}" for count in counted])
        intervals = np.vstack([ratios - found.time_over_nested_low, found.time_over_nested_high - ratios])
        texts = [labels.ratio_text(ratio) if np.isfinite(ratio) else "" for ratio in ratios]
        bars(right, shown, ratios.to_numpy(), texts, np.nan_to_num(intervals).clip(min=0))
        for place, series in enumerate(shown):
            paper = data.published.slope(pd.Series({**own.iloc[0].to_dict(), "series": series}), series, "time")
            if paper is not None and series != "nested":
                published_seen = True
                hollow = {"markerfacecolor": "white", "markeredgecolor": "0.1", "markersize": 4, "zorder": 6}
                right.plot(  # at the lower edge of the bar, clear of its number
                    paper.ratio_to_nested,
                    place + 0.36,
                    marker="D",
                    linestyle="none",
                    gid=f"published-{series}",
                    **hollow,
                )
                right.set_xlim(0, max(right.get_xlim()[1], 1.1 * paper.ratio_to_nested))
        left.set_xlabel("Vectors per datum")
        right.set_xlabel("Time / nested")
        title = f"{labels.operator_label(operator)}, $D$ = {own.dim.iloc[0]}, batch {own.batch.iloc[0]}"
        left.set_title(title, loc="left", fontweight="bold")
    for axes in panels[1:]:
        axes.set_yticklabels([])
    if published_seen:
        hollow = {"markerfacecolor": "white", "markeredgecolor": "0.1", "markersize": 5}
        style.legend(drawn, [Line2D([], [], marker="D", linestyle="none", label="published (RTX 6000)", **hollow)])
    told = dense_zeros.sentence(data.records, data.published)
    about = f"{data.place} JAX, {points.dtype.iloc[0]}, network {points.widths.iloc[0]}."
    style.footnote(drawn, style.wrapped(f"{about} {told}" if told else about))
    return drawn
