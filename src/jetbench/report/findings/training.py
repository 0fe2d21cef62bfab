"""A network trained to the same loss with each method: curves over wall time, time to the loss, memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import listed, method_phrase
from jetbench.report.registry import figure, finding

TITLES = {"poisson": "Poisson equation", "plate": "simply supported plate"}
#: The same in a word, below a bar.
SHORT = {"poisson": "Poisson", "plate": "Plate"}


def measured(data: Data) -> pd.DataFrame:
    """The ok runs with their time over that of nested, to the target where both reached it, else per step."""
    runs = data.training
    if runs.empty:
        return runs
    runs = runs[runs.status == "ok"].drop_duplicates(["key"], keep="last")
    place = ["problem", "dim", "device", "mode", "dtype", "points"]
    nested = runs[runs.method == labels.REFERENCE][[*place, "step_s", "seconds_to_target", "step_memory_bytes"]]
    found = runs.merge(nested, on=place, how="left", suffixes=("", "_nested"))
    found["to_target"] = found.seconds_to_target.astype(float) / found.seconds_to_target_nested.astype(float)
    found["per_step"] = found.step_s.astype(float) / found.step_s_nested.astype(float)
    found["memory"] = found.step_memory_bytes.astype(float) / found.step_memory_bytes_nested.astype(float)
    return labels.ordered(found.assign(series=found.method), ["problem", "series"])


@figure(
    "training",
    "loss against wall time of a network trained with each method, and memory of a step",
    "The same network trained by the same steps with each method. Only the time of the steps differs. Last panel: peak"
    " memory of a step over that of nested.",
)
def draw(data: Data) -> Figure:
    """One panel a problem: the same path of losses, faster or slower; the last panel: memory over nested."""
    found = measured(data)
    if found.empty:
        raise NoData("No network was trained.")
    problems = list(dict.fromkeys(found.problem))
    shown = labels.ranked(found.method, labels.SERIES)
    drawn = style.new(2.6)
    panels = drawn.subplots(1, len(problems) + 1, squeeze=False)[0]
    for axes, problem in zip(panels, problems, strict=False):
        own = found[found.problem == problem]
        for run in own.itertuples():
            look = labels.look(run.method, shown)
            seconds, losses = np.cumsum(run.seconds), np.array(run.losses) / run.losses[0]
            axes.plot(seconds, losses, color=look.colour, linestyle=look.line, gid=f"measured-{run.method}")
            axes.plot(seconds[-1:], losses[-1:], color=look.colour, marker=look.marker, linestyle="none")
        axes.axhline(own.target.iloc[0], color="0.6", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel("Wall time [s]")
        title = TITLES.get(problem, problem)
        axes.set_title(f"{title[:1].upper()}{title[1:]}, $D$ = {own.dim.iloc[0]}")
    panels[0].set_ylabel("Loss / first loss")
    width = 0.8 / len(shown)
    for place, method in enumerate(shown):
        own = found[found.method == method]
        heights = [own[own.problem == problem].memory.max() for problem in problems]
        at = np.arange(len(problems)) + width * (place - (len(shown) - 1) / 2)
        panels[-1].bar(at, heights, width=0.9 * width, color=labels.look(method, shown).colour)
    panels[-1].set_xticks(range(len(problems)), [SHORT.get(p, p) for p in problems])
    panels[-1].set_ylabel("Peak memory / nested")
    panels[-1].set_xlabel("Problem")
    style.legend(drawn, style.method_handles(shown))
    place = f"Trained on {found.machine.iloc[0]}, {', '.join(sorted(set(found['mode'])))}, {found.dtype.iloc[0]}."
    same = "All methods take the same path; steps of all methods in turn. Grey: the loss to reach."
    style.footnote(drawn, place, same)
    return drawn


@finding("training", "What does it save in training?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    if found.empty or not (found.method == "nested").any():
        return None
    parts = []
    for problem, own in found.groupby("problem", sort=False):
        others = own[own.method != "nested"]
        reached = others.to_target.notna().all()
        value = "to_target" if reached else "per_step"
        times, memory = (
            listed(f"{labels.ratio_text(getattr(r, name))} by {method_phrase(r.method)}" for r in others.itertuples())
            for name in (value, "memory")
        )
        what = "wall time to the same loss" if reached else "time of a step"
        dim = int(own.dim.iloc[0])
        equation = f"{TITLES.get(problem, problem)} in {dim} dimensions"
        parts.append(f"for the {equation} the {what} is {times} and the peak memory {memory}")
    return f"Trained on {found.machine.iloc[0]}, in units of nested: {'; '.join(parts)}."
