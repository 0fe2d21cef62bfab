"""What users type by mistake or malice: values of every kind, texts that are hard to print, the command in-process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from jetbench.cli.main import app

set_hypothesis_home_dir(Path(__file__).resolve().parents[2] / ".hypothesis")
COMMAND = typer.main.get_command(app)
TEXTS = (
    "", " ", "nan", "-1", "1e400", "none", "../../etc/passwd", "/etc/passwd", "..", "a/b", "a\\b", ".hidden",
    "a" * 5000, "two\nlines", "bell\x07", "\x1b[31mred", "[bold]markup[/bold]", "%s%n", "{0.__class__}",
    "$(reboot)", "; rm -rf /",
    "\u202eright to left", "ﬁne", "Ａ", "batch\n", "'quotes\"", "<script>",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 2**31, 2**63, 10**400, 0.5, -0.5, 1.0, float("nan"), float("inf"), -float("inf"), 1e308,
    [], {}, [[]], [None], [{}], {"a": 1}, [1, [2, [3]]], [1, 1], [0], ["x"], [float("nan")], {"kind": "normal"}, *TEXTS,
)  # fmt: skip
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT)
ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=5
)
WORDS = st.text(st.characters(exclude_characters="\0"), max_size=30)


def each(values: tuple, strategy: st.SearchStrategy, more: int, allowed: Callable[[Any], bool]) -> Iterator[Any]:
    """The values that are not allowed, of those given and of `more` that hypothesis draws, always the same ones."""
    yield from (value for value in values if not allowed(value))
    drawn: list[Any] = []

    @settings(
        max_examples=more, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy.filter(lambda value: not allowed(value)))
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    yield from drawn


def jetbench(*words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            COMMAND.main(list(words), prog_name="jetbench")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return status, out.getvalue(), err.getvalue()


def refusal(*words: str) -> str:
    """The one line with which the command refuses what it was given."""
    status, out, err = jetbench(*words)
    assert status == 2, (status, words, out[-300:], err[-300:])
    assert err.endswith("\n") and err.count("\n") == 1 and err.startswith("Error: "), (words, err)
    assert err.strip().isprintable() and "Traceback" not in err and len(err) < 1000, (words, err)
    return err
