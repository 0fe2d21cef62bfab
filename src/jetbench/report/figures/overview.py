"""The overview: the four methods that the project is about, for the Laplacian and the biharmonic."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jetbench.report import labels
from jetbench.report.data import Data, NoData, as_published, reference_points
from jetbench.report.figures import style
from jetbench.report.registry import figure

SUBJECTS = ("laplacian", "biharmonic")


@figure(
    "overview",
    "vectors and time of nested, standard, collapsed and apolar, for the Laplacian and the biharmonic",
    "Bars: the number of vectors that a method pushes through each linear layer per datum, which is counted, and its"
    " time over that of nested differentiation, which is measured; the better of eager and compiled (c).",
)
def overview(data: Data) -> Figure:
    """Bars: vectors per datum (a count) and time over nested (a measurement), the better mode of each method."""
    points = reference_points(as_published(data.records), ("study", "case"))
    points = points[points.operator.isin(SUBJECTS) & (points.estimator == "exact") & points.series.isin(labels.CHAIN)]
    points = points[points.backend == next(iter(labels.ranked(points.backend, labels.BACKENDS)), None)]
    points = points[points.study == ("operators" if (points.study == "operators").any() else "batch")]
    if points.empty:
        raise NoData("No measured Laplacian or biharmonic.")
    subjects = labels.ranked(points.operator, SUBJECTS)
    shown = labels.ranked(points.series, labels.SERIES)
    mixed = []
    drawn = style.new(0.36 * len(shown) + 0.95)
    panels = drawn.subplots(1, 2 * len(subjects), squeeze=False)[0]
    for operator, left, right in zip(subjects, panels[::2], panels[1::2], strict=True):
        own = points[points.operator == operator]
        own = own[own.case == own.groupby("case").series.nunique().idxmax()]
        best = own.sort_values("time_s").drop_duplicates("series").set_index("series").reindex(shown)
        relative = pd.notna(best.time_s.get("nested", np.nan))
        base = best.time_s["nested"] if relative else best.floor_s.min()
        eager_only = relative and set(own[own.series == "nested"]["mode"]) == {"eager"}
        mixed += [labels.operator_label(operator)] if eager_only and (best["mode"] == "compiled").any() else []
        modes = {"compiled": " c"} if set(own["mode"]) > {"compiled"} else {}
        ratios = best.time_s / base
        timed = [f"{labels.ratio_text(r)}{modes.get(m, '')}" for r, m in zip(ratios, best["mode"], strict=True)]
        ends = style.error_bars(ratios, best.time_low_s / base, best.time_high_s / base)
        style.bars(left, shown, best.vectors, [f"{count:g}" for count in best.vectors.astype("float64")])
        style.bars(right, shown, ratios, timed, ends)
        left.set_xlabel("Vectors per datum")
        right.set_xlabel("Time / nested" if relative else "Time / floor")
        title = f"{labels.operator_label(operator)}, $D$ = {own.dim.iloc[0]}, batch {own.batch.iloc[0]}"
        left.set_title(title, loc="left", fontweight="bold")
    for axes in panels[1:]:
        axes.set_yticklabels([])
    about = f"{labels.backend_label(points.backend.iloc[0])}, {points.dtype.iloc[0]}, network {points.widths.iloc[0]}"
    eagerly = f"{' and '.join(mixed)}: nested was measured only eagerly." if mixed else None
    style.footnote(drawn, data.place, f"{about}; the better of eager and compiled (c).", eagerly)
    return drawn
