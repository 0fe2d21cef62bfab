"""Which method wins where: the fastest method at every measured place, within one mode."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.findings.registry import counted, finding, listed, method_phrase, operator_phrase, where
from jetbench.report.tables import Data

AXES = {"batch": "batch", "samples": "samples", "rank": "rank", "width": "width", "depth": "depth", "dimension": "D"}


def winners(data: Data) -> pd.DataFrame:
    """One row a place with at least two methods: winner, runner-up, their ratio, and whether the intervals part.

    Series that are one method with other directions compete as series do.
    """
    rows = []
    ok = labels.ordered(data.ok)
    for place, group in ok.groupby(["study", "case", "mode", "axis", "axis_value"], sort=False):
        group = group.drop_duplicates("series", keep="last").sort_values("time_s")
        if len(group) < 2:
            continue
        first, second = group.iloc[0], group.iloc[1]
        parted = bool(first.time_high_s < second.time_low_s)
        row = dict(zip(["study", "case", "mode", "axis", "axis_value"], place, strict=True))
        row |= {"winner": first.series, "second": second.series, "ratio": second.time_s / first.time_s, "clear": parted}
        rows.append(row | {"operator": first.operator, "dim": first.dim, "methods": len(group)})
    names = ["study", "case", "mode", "axis", "axis_value", "winner", "second", "ratio", "clear", "operator", "dim"]
    return pd.DataFrame(rows, columns=[*names, "methods"])


@figure("winners", "which method wins where: the fastest at every measured place, and by how much")
def draw(data: Data) -> Figure:
    """One row a case and mode, one cell a position: coloured by the winner, pale where the runner-up may be as fast."""
    found = winners(data)
    if found.empty:
        raise NoData("No place was measured with two methods.")
    named = {c: n for _, s in data.records.groupby("study") for c, n in labels.case_labels(s).items()}
    rows = list(dict.fromkeys(zip(found.study, found.case, found["mode"], strict=True)))
    drawn = style.new(0.24 * len(rows) + 0.9)
    axes = drawn.subplots()
    longest = 0
    for height, (study, case, mode) in enumerate(rows):
        own = found[(found.study == study) & (found.case == case) & (found["mode"] == mode)].sort_values("axis_value")
        for place, cell in enumerate(own.itertuples()):
            look = style.look(cell.winner, labels.ranked(found.winner, labels.SERIES))
            alpha = 0.85 if cell.clear else 0.35
            axes.add_patch(
                Rectangle((place, height - 0.42), 0.94, 0.84, color=look.colour, alpha=alpha, linewidth=0, gid="cell")
            )
            text = f"{AXES.get(cell.axis, cell.axis)} {cell.axis_value:g}: {labels.ratio_text(cell.ratio)}"
            colour = "white" if cell.clear else "0.1"
            axes.text(place + 0.47, height, text, ha="center", va="center", fontsize=6, color=colour)
        longest = max(longest, len(own))
    axes.set_xlim(0, longest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [f"{named[case]}, {mode}" for _, case, mode in rows])
    axes.set_xticks([])
    axes.set_xlabel("Positions along the axis of the study; the number is the runner-up's time over the winner's")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    shown = labels.ranked(found.winner, labels.SERIES)
    patches = [Patch(color=style.look(s, shown).colour, label=labels.series_label(s)) for s in shown]
    style.legend(drawn, patches)
    style.footnote(drawn, style.wrapped(f"{data.place} Pale: the 95% intervals of the two overlap."))
    return drawn


@finding("winners", "Which method wins where?")
def sentence(data: Data) -> str | None:
    found = winners(data)
    if found.empty:
        return None
    clear = found[found.clear]
    wins = clear.winner.value_counts()
    parts = [f"{method_phrase(name)} {counted(int(n), 'time')}" for name, n in wins.items()]
    text = (
        f"Of {counted(len(found), 'measured place')} {where(data)} with several methods, {len(clear)} have a clear"
        f" winner: {listed(parts)}."
        if len(clear)
        else f"None of {counted(len(found), 'measured place')} {where(data)} has a clear winner."
    )
    changes = []
    for (*_, mode), own in clear.groupby(["study", "case", "mode"], sort=False):
        own = own.sort_values("axis_value")
        if own.winner.nunique() > 1:
            steps = ", then ".join(
                f"{method_phrase(r.winner)} from {AXES.get(r.axis, r.axis)} {r.axis_value:g}"
                for r in own[own.winner != own.winner.shift()].itertuples()
            )
            changes.append(f"{operator_phrase(own.operator.iloc[0])} ({mode}): {steps}")
    return f"{text} The winner changes along {listed(changes)}." if changes else text
