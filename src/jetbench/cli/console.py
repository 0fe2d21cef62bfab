"""The standard output for tables, in any encoding."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from jetbench.cli.encoding import readable

WIDTH = 160  # where the output is not a terminal


class ReadableConsole(Console):
    """A console that spells out what its encoding lacks before it lays out a table, so that columns stay aligned."""

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(readable(text, self.encoding), **settings)


def stdout_console() -> Console:
    """A console on the standard output, wide enough for tables where it is not a terminal."""
    return ReadableConsole() if sys.stdout.isatty() else ReadableConsole(width=WIDTH)
