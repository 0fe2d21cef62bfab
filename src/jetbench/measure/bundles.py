"""Curves in bundles for a batch system: one job measures a bundle, so that waiting and starting cost it little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from jetbench.measure import config as configs
from jetbench.measure.case import Curve

# Beside the time for samples: starting a process for each curve, checks and memory of a point, compiling a graph.
START_S = 8.0
CHECKS_S = 2.0
COMPILE_S = 12.0


def bundles(curves: Iterable[Curve], config: Mapping[str, Any], minutes: float) -> list[tuple[Curve, ...]]:
    """Curves in their order, in bundles of one study that are expected to take at most so many minutes each.

    Curves that are to be compared (the same but for method and directions) stay together on one GPU. Only where they
    alone take longer are they divided, and a curve that takes longer is a bundle of its own.
    """
    found: list[tuple[Curve, ...]] = []
    for study, of_study in groupby(curves, lambda curve: curve.study):
        del study
        bundle: list[Curve] = []
        for _, compared in groupby(of_study, _comparable):
            together = list(compared)
            whole = seconds(together, config) <= 60 * minutes
            for part in [together] if whole else [[curve] for curve in together]:
                if bundle and seconds([*bundle, *part], config) > 60 * minutes:
                    found.append(tuple(bundle))
                    bundle = []
                bundle += part
        found.append(tuple(bundle))
    return found


def seconds(curves: Iterable[Curve], config: Mapping[str, Any]) -> float:
    """How long some curves take at most if nothing goes wrong: all points spend their time for samples.

    It rests on the budget alone, so that planning a job loads no framework.
    """
    budget = configs.budget(config)
    graphs = 2 if configs.has_gradient(budget, "compiled") else 1
    return sum(
        START_S
        + len(curve.points) * (CHECKS_S + budget["point_s"])
        + sum(graphs * COMPILE_S for point in curve.points if point.case.mode == "compiled")
        for curve in curves
    )


def _comparable(curve: Curve) -> list[Any]:
    """What curves that are to be compared have in common."""
    return [replace(point.case, method="", directions=None) for point in curve.points]
