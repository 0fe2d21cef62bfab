"""The published figures redrawn from the published points, with ours over them.

Times and memory of two machines have no common axis. Both are therefore shown as shares: the position as a share of the
curve's largest, the cost as a share of what nested differentiation costs there on the same machine.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels
from jetbench.report.costs import PUBLISHED
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.labels import REFERENCE
from jetbench.report.registry import figure
from jetbench.report.reproduction.comparison import COUNTERPARTS
from jetbench.report.reproduction.published import ACTIVATION, DTYPE, MATCHED, WIDTHS
from jetbench.report.slopes import LINEAR_AXES, METRICS

GROUPS = {
    "published_eager": ("torch", "eager", "PyTorch, eager"),
    "published_compiled": ("torch", "compiled", "PyTorch, compiled"),
    "published_jax": ("jax", "compiled", "JAX, compiled"),
}


def shares(points: pd.DataFrame, column: str) -> pd.DataFrame:
    """Points of one case with the columns `at` and `share`; empty where nested is missing at the largest position."""
    points = points[points[column].notna()]
    nested = points[points.series == REFERENCE]
    if nested.empty:
        return points.iloc[:0].assign(at=[], share=[])
    last = nested.loc[nested.x.idxmax()]
    return points.assign(at=points.x / last.x, share=points[column].astype("float64") / last[column])


def redrawn(data: Data, backend: str, mode: str, title: str) -> Figure:
    """One row a published case, one column a cost: published hollow and thin, ours filled."""
    published = data.published.points
    published = published[(published.backend == backend) & (published["mode"] == mode)]
    published = published[published.rank_ratio.isna() | (published.rank_ratio == 1) | (published.study == "rank")]
    if published.empty:
        raise NoData(f"No published points of {title}.")
    place = ["study", "operator", "estimator"]
    ordered = labels.ordered(published, ["study", "operator"])[place].drop_duplicates()
    cases = list(ordered.itertuples(index=False, name=None))
    ours = data.ok[~data.ok.study.isin(labels.SNAPSHOTS)]
    ours = ours[(ours.widths == WIDTHS) & (ours.activation == ACTIVATION) & (ours.dtype == DTYPE)]
    ours = ours[ours.rank_ratio.isna() | (ours.rank_ratio == 1) | (ours.axis == "rank")]
    drawn = style.new(0.74 * len(cases) + 0.8, width=5.6)
    panels = drawn.subplots(len(cases), len(PUBLISHED), squeeze=False, sharex=True)
    shown = labels.ranked(published.series, labels.SERIES)
    measured = False
    for row, (study, operator, _) in enumerate(cases):
        theirs = published[(published.study == study) & (published.operator == operator)]
        about = dict(zip(MATCHED, theirs.iloc[0][MATCHED], strict=True))
        mine = ours
        for name, value in about.items():
            mine = mine[(mine["axis" if name == "study" else name] == value).fillna(False).astype(bool)]
        for column, metric in enumerate(PUBLISHED):
            axes = panels[row, column]
            measured |= _panel(axes, theirs, mine, METRICS[metric].column, shown, backend)
            axes.set_title(METRICS[metric].label if row == 0 else "")
            axes.set_xlabel("Share of the largest position" if row == len(cases) - 1 else "")
        name = labels.operator_label(operator).replace(" ", "\n")
        panels[row, 0].set_ylabel(f"{name}\nper {LINEAR_AXES[study]}", fontsize=7)
    handles = style.method_handles(shown)
    thin = {"markerfacecolor": "none", "linewidth": 0.6, "linestyle": ":"}
    handles.append(Line2D([], [], color=style.GREY, marker="o", label="published (RTX 6000)", **thin))
    style.legend(drawn, handles)
    reading = f"{title}. Cost over that of nested at the largest position. Filled: ours."
    style.footnote(drawn, reading, data.place if measured else "Nothing of it was measured on this machine.")
    return drawn


def _panel(axes: Axes, theirs: pd.DataFrame, mine: pd.DataFrame, column: str, shown: list[str], backend: str) -> bool:
    """Draw one panel; whether it has points of ours."""
    for series, curve in shares(theirs, column).sort_values("at").groupby("series", sort=False):
        look = labels.look(series, shown)
        kind = {"color": look.colour, "marker": look.marker, "markerfacecolor": "none", "markeredgewidth": 0.7}
        axes.plot(curve["at"], curve.share, linestyle=":", linewidth=0.6, gid=f"published-{series}", zorder=2, **kind)
    own = shares(mine, column)
    for series in shown:
        names = COUNTERPARTS.get((backend, series), (series,))
        found = next((name for name in names if (own.series == name).any()), None)
        curve = own[own.series == found].sort_values("at")
        look = labels.look(series, shown)
        if len(curve):
            kind = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
            axes.plot(curve["at"], curve.share, gid=f"measured-{series}", zorder=4, **kind)
    axes.set_xlim(0, 1.06)
    axes.set_ylim(bottom=0)
    return len(own) > 0


CAPTION = (
    "The published figure, redrawn from its points (hollow, dotted), with ours over it (filled). Two machines do not"
    " have a common axis: positions are shares of the curve's largest, costs shares of what nested costs there."
)
for _name, (_backend, _mode, _title) in GROUPS.items():
    _draw = partial(redrawn, backend=_backend, mode=_mode, title=_title)
    figure(_name, f"the published points of {_title} with ours over them", CAPTION)(_draw)
