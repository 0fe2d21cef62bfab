"""The registries of figures, tables and findings. A module on one of the `SHELVES` is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jetbench.errors import JetbenchError, unknown
from jetbench.report.data import Data

SHELVES = ("figures", "findings", "reproduction", "tables")


@dataclass(frozen=True)
class Entry:
    """A figure, table or finding.

    Attributes:
        shows: what it shows, in a phrase; of a finding, the question that it answers.
        make: from the data of one machine to the figure, table or sentence.
        caption: how to read it.
    """

    name: str
    shows: str
    make: Callable[[Data], Any]
    caption: str


class Registry(Mapping[str, Entry]):
    """Name → entry of all that is registered under one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, shows: str, caption: str = "") -> Callable[[Callable], Callable]:
        """Register the decorated function of `Data` under a name; without a caption, what it shows is its caption."""

        def decorate(make: Callable[[Data], Any]) -> Callable[[Data], Any]:
            self._entries[name] = Entry(name, shows, make, caption or f"{shows[:1].upper()}{shows[1:]}.")
            return make

        return decorate

    def make(self, name: str, data: Data) -> Any:
        """The figure, table or sentence of that name.

        Raises:
            JetbenchError: there is none; the message names those that exist.
            NoData: the records do not contain what a figure needs.
        """
        return self.entry(name).make(data)

    def entry(self, name: str) -> Entry:
        """The entry of that name; a `JetbenchError` that lists the names where there is none."""
        if name not in self:
            raise JetbenchError(unknown(self.kind, name, self))
        return self[name]

    def __getitem__(self, name: str) -> Entry:
        _load()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        _load()
        return iter(self._entries)

    def __len__(self) -> int:
        _load()
        return len(self._entries)


@cache
def _load() -> None:
    """Import every module on the shelves, which registers what is in it."""
    for shelf in SHELVES:
        for module in pkgutil.iter_modules([str(Path(__file__).parent / shelf)]):
            importlib.import_module(f"jetbench.report.{shelf}.{module.name}")


FIGURES, TABLES, FINDINGS = Registry("figure"), Registry("table"), Registry("finding")
figure, table, finding = FIGURES.register, TABLES.register, FINDINGS.register
