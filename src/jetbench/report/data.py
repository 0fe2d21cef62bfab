"""What tables, figures and findings are made from, and the choices of points that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from jetbench.report import labels
from jetbench.report.collect import machines
from jetbench.report.reproduction.published import ACTIVATION, DTYPE, WIDTHS, Published
from jetbench.report.slopes import slopes


class NoData(Exception):
    """There is nothing to draw; the message says what is missing."""


@dataclass(frozen=True)
class Data:
    """The records of one machine, their slopes, and the published numbers."""

    records: pd.DataFrame
    published: Published
    #: Records of the study `training`, one row a run.
    training: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def slopes(self) -> pd.DataFrame:
        """The slopes of the records, as `slopes.slopes` makes them."""
        return slopes(self.records)

    @property
    def ok(self) -> pd.DataFrame:
        """The records that were measured."""
        return self.records[self.records.status == "ok"]

    @property
    def place(self) -> str:
        """Where it was measured, in a sentence."""
        if self.records.empty:
            return "No machine."
        nodes = self.records.node.dropna().unique()
        parts = [*self.records.hardware.dropna().iloc[-1:], *([f"{len(nodes)} equal nodes"] if len(nodes) > 1 else [])]
        named = f" ({', '.join(parts)})" if parts else ""
        return f"Measured on {self.records.machine.iloc[0]}{named}."

    def named(self, frame: pd.DataFrame) -> dict[str, str]:
        """Case → label of the cases of a frame; the cases of one study are told apart within it."""
        return labels.case_names(self.records[self.records.case.isin(list(frame.case))])


def reference_points(records: pd.DataFrame, within: tuple[str, ...] = ("study", "case", "mode")) -> pd.DataFrame:
    """The ok points of the `operators` study, or else of `batch` and `samples`, at one x for each group.

    The x is the largest of those that most methods of the group reached.
    """
    ok = records[records.status == "ok"]
    chosen = ok[ok.study == "operators"]
    chosen = ok[ok.study.isin(["batch", "samples"])] if chosen.empty else chosen
    parts = []
    for _, group in chosen.groupby(list(within), sort=False):
        reached = group.groupby("x").series.nunique()
        parts.append(group[group.x == reached[reached == reached.max()].index.max()])
    return pd.concat(parts) if parts else chosen


def as_published(records: pd.DataFrame) -> pd.DataFrame:
    """The records of the published network and type, where some of them were measured."""
    for name, value in (("network", "mlp"), ("widths", WIDTHS), ("activation", ACTIVATION), ("dtype", DTYPE)):
        same = records[name] == value
        records = records[same] if (same & (records.status == "ok")).any() else records
    return records


def best_machine(records: pd.DataFrame) -> str | None:
    """The most capable machine: one with the paper's network, a GPU before a CPU, then that of most points."""
    whole = records[(records.status == "ok") & (records.widths == WIDTHS)]
    shown = whole if len(whole) else records
    if shown.empty:
        return None
    last_used = {machine: -place for place, machine in enumerate(machines(shown))}
    gpu = shown.device.fillna("").str.startswith("cuda").groupby(shown.machine).any()
    return max(last_used, key=lambda machine: (gpu[machine], (shown.machine == machine).sum(), last_used[machine]))
