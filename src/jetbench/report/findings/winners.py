"""Which method wins where: the fastest method at every measured place, within one mode."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import counted, listed, method_phrase, operator_phrase, where
from jetbench.report.registry import figure, finding
from jetbench.report.reproduction.published import DTYPE

#: How many positions of a curve the map has room for, and the number of curves that the sentence names.
POSITIONS, TOLD = 4, 3
#: Of more rows than this only those of the published type are shown.
MOST_ROWS = 40
AXES = {"batch": "batch", "samples": "S =", "rank": "rank", "width": "width", "depth": "depth", "dimension": "D ="}


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
        rows.append(row | {"operator": first.operator, "backend": first.backend, "dim": first.dim})
    names = ["study", "case", "mode", "axis", "axis_value", "winner", "second", "ratio", "clear", "operator", "backend"]
    return pd.DataFrame(rows, columns=[*names, "dim"])


@figure(
    "winners",
    "which method wins where: the fastest at every measured place, and by how much",
    "The fastest method at every measured place. The number is the runner-up's time over the winner's; pale cells are"
    " not clear wins, since the 95% intervals overlap. Of long curves a few positions are shown.",
)
def draw(data: Data) -> Figure:
    """One row a case and mode, one cell a position: coloured by the winner, pale where the runner-up may be as fast.

    Snapshots, which have one position, are left out where there are curves, and positions for which there is no room.
    """
    found = winners(data)
    curves = found[~found.study.isin(labels.SNAPSHOTS)]
    found = curves if len(curves) else found
    if found.empty:
        raise NoData("No place was measured with two methods.")
    kinds = data.records.drop_duplicates("case").set_index("case").dtype.reindex(found.case).to_numpy()
    only = len(found.groupby(["study", "case", "mode"])) > MOST_ROWS and (kinds == DTYPE).any()
    found = found[kinds == DTYPE] if only else found
    named = labels.case_names(data.records)
    rows = list(dict.fromkeys(zip(found.study, found.case, found["mode"], strict=True)))
    drawn = style.new((0.24 if len(rows) <= 20 else 0.2) * len(rows) + 0.9)
    axes = drawn.subplots()
    longest, left_out, size = 0, 0, 7 if len(rows) <= 20 else 6
    shown = labels.ranked(found.winner, labels.SERIES)
    for height, (study, case, mode) in enumerate(rows):
        own = found[(found.study == study) & (found.case == case) & (found["mode"] == mode)].sort_values("axis_value")
        kept = own.iloc[np.unique(np.linspace(0, len(own) - 1, POSITIONS).round().astype(int))]
        left_out += len(own) - len(kept)
        own = kept
        for place, cell in enumerate(own.itertuples()):
            look = labels.look(cell.winner, shown)
            alpha = 0.85 if cell.clear else 0.35
            axes.add_patch(
                Rectangle((place, height - 0.42), 0.94, 0.84, color=look.colour, alpha=alpha, linewidth=0, gid="cell")
            )
            text = f"{AXES.get(cell.axis, cell.axis)} {cell.axis_value:g}: {labels.ratio_text(cell.ratio)}"
            colour = style.readable_on(look.colour, alpha)
            axes.text(place + 0.47, height, text, ha="center", va="center", fontsize=size, color=colour)
        longest = max(longest, len(own))
    axes.set_xlim(0, longest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [f"{named[case]}, {mode}" for _, case, mode in rows])
    axes.set_xticks([])
    axes.set_xlabel("Positions along the axis of the study: the runner-up's time over the winner's")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    patches = [Patch(color=labels.look(s, shown).colour, label=labels.series_label(s)) for s in shown]
    style.legend(drawn, patches)
    left_told = f"{counted(left_out, 'position')} between those shown left out." if left_out else None
    pale = "Pale: the 95% intervals of the two overlap."
    style.footnote(drawn, data.place, pale, f"Only {DTYPE} is shown." if only else None, left_told)
    return drawn


@finding("winners", "Which method wins where?")
def sentence(data: Data) -> str | None:
    found = winners(data)
    if found.empty:
        return None
    clear = found[found.clear]
    wins = clear.winner.value_counts()
    parts = [f"{method_phrase(name)} {'once' if n == 1 else f'{n} times'}" for name, n in wins.items()]
    text = (
        f"Of {counted(len(found), 'measured place')} {where(data)} with several methods, {len(clear)} have a clear"
        f" winner: {listed(parts)}."
        if len(clear)
        else f"None of {counted(len(found), 'measured place')} {where(data)} has a clear winner."
    )
    told, untold = changes(clear)
    if not told:
        return text
    others = f"; {counted(untold, 'other curve')} of the figure {'changes' if untold == 1 else 'change'} too"
    return f"{text} The winner changes with the size: {'; '.join(told)}{others if untold else ''}."


def changes(clear: pd.DataFrame) -> tuple[list[str], int]:
    """Up to `TOLD` phrases on curves whose clear winner changes once, and how many more curves change."""
    phrases, untold = [], 0
    for (*_, mode), own in clear.groupby(["study", "case", "mode"], sort=False):
        own = own.sort_values("axis_value")
        steps = own[own.winner != own.winner.shift()]
        if len(steps) == 2 and len(phrases) < TOLD:
            (first, then), axis = steps.itertuples(), AXES.get(own.axis.iloc[0], own.axis.iloc[0])
            place = f"{operator_phrase(first.operator)}, {labels.backend_label(first.backend)} {mode}"
            phrases.append(
                f"{method_phrase(first.winner)} wins at {axis} {first.axis_value:g} and"
                f" {method_phrase(then.winner)} from {axis} {then.axis_value:g} on ({place})"
            )
        else:
            untold += len(steps) > 1
    return phrases, untold
