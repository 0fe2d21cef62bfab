"""The registry of figures, and how one is made and written. What they show is in `curves`, `scatter` and `overview`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from jetbench.errors import JetbenchError, unknown
from jetbench.report import style
from jetbench.report.tables import Data

log = logging.getLogger(__name__)


class NoData(Exception):
    """There is nothing to draw; the message says what is missing."""


@dataclass(frozen=True)
class Entry:
    """A registered figure: its name, what it shows, and the function that draws it or raises `NoData`."""

    name: str
    shows: str
    draw: Callable[[Data], Figure]


FIGURES: dict[str, Entry] = {}


def register(name: str, shows: str, draw: Callable[[Data], Figure]) -> None:
    """Make a figure available under a name."""
    FIGURES[name] = Entry(name, shows, draw)


def figure(name: str, shows: str) -> Callable[[Callable[[Data], Figure]], Callable[[Data], Figure]]:
    """Register the decorated function as the figure `name`."""

    def decorate(draw: Callable[[Data], Figure]) -> Callable[[Data], Figure]:
        register(name, shows, draw)
        return draw

    return decorate


def make(name: str, data: Data) -> Figure:
    """The figure of that name; a placeholder that says so where there is nothing to draw. Use within `style.settings`.

    Raises:
        JetbenchError: there is no such figure; the message lists those that exist.
    """
    if name not in FIGURES:
        raise JetbenchError(unknown("figure", name, FIGURES))
    entry = FIGURES[name]
    try:
        return entry.draw(data)
    except NoData as missing:
        log.warning("Figure %s: %s A placeholder says so.", name, missing)
        return style.placeholder(f"{name}: {entry.shows}", str(missing))


def write(name: str, data: Data, path: Path) -> list[Path]:
    """Draw a figure and write it as PDF and PNG, or as the one that the suffix of `path` names; the paths."""
    with style.settings():
        return style.save(make(name, data), path)
