"""The figure "standard Taylor mode is not enough": JAX's methods beside each other, with the paper's numbers."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels
from jetbench.report.data import Data, NoData, as_published, reference_points
from jetbench.report.figures import style
from jetbench.report.figures.overview import SUBJECTS
from jetbench.report.registry import figure
from jetbench.report.reproduction import dense_zeros

HOLLOW = {"marker": "D", "linestyle": "none", "markerfacecolor": "white", "markeredgecolor": "0.1", "markersize": 4}


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
        style.bars(left, shown, found.vectors, [f"{count:g}" for count in found.vectors.astype("float64")])
        ends = style.error_bars(ratios, found.time_over_nested_low, found.time_over_nested_high)
        style.bars(right, shown, ratios, [labels.ratio_text(ratio) for ratio in ratios], ends)
        for place, series in enumerate(shown):
            paper = data.published.slope(own.iloc[0], series, "time")
            if paper is not None and series != labels.REFERENCE:
                published_seen = True
                # At the lower edge of the bar, clear of its number.
                right.plot(paper.ratio_to_nested, place + 0.36, gid=f"published-{series}", zorder=6, **HOLLOW)
                right.set_xlim(0, max(right.get_xlim()[1], 1.1 * paper.ratio_to_nested))
        left.set_xlabel("Vectors per datum")
        right.set_xlabel("Time / nested")
        title = f"{labels.operator_label(operator)}, $D$ = {own.dim.iloc[0]}, batch {own.batch.iloc[0]}"
        left.set_title(title, loc="left", fontweight="bold")
    for axes in panels[1:]:
        axes.set_yticklabels([])
    if published_seen:
        style.legend(drawn, [Line2D([], [], label="published (RTX 6000)", **HOLLOW)])
    explained = dense_zeros.sentence(data.records, data.published)
    style.footnote(drawn, f"{data.place} JAX, {points.dtype.iloc[0]}, network {points.widths.iloc[0]}.", explained)
    return drawn
