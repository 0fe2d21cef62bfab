"""Options that commands share: their types and texts, several values after one flag, and checks of values."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from jetbench.atomic_files import replacing
from jetbench.errors import ConfigError

Config = Annotated[Path, typer.Option("--config", help="YAML or JSON file with the studies.")]
Study = Annotated[str | None, typer.Option("--study", help="Use this study only.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results of this machine.")]
Again = Annotated[
    str, typer.Option("--again", help="Recorded points to measure again: never, failed (status other than ok) or all.")
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda (default: the device of the config).")]
AnyGpu = Annotated[
    bool,
    typer.Option(
        "--any-gpu", help="Use any visible GPU that is free, and the cores near it (default: the first visible GPU)."
    ),
]
Widths = Annotated[list[int], typer.Option("--widths", min=1, max=2**20, help="Widths of the hidden layers.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Do not show progress.")]
OperatorsFile = Annotated[
    Path | None, typer.Option("--operators-file", help="Python file that registers your own operators; it is run.")
]
MethodsFile = Annotated[
    Path | None, typer.Option("--methods-file", help="Python file that defines your own methods; it is run.")
]
Operator = Annotated[str, typer.Option("--operator", help="Name of an operator; see `jetbench list operators`.")]
Dim = Annotated[int, typer.Option("--dim", min=1, max=4000, help="Number of coordinates of x.")]
Batch = Annotated[int, typer.Option("--batch", min=1, max=2**31 - 1, help="Number of points x evaluated together.")]
OperatorOptions = Annotated[
    list[str] | None, typer.Option("--option", help="An argument of the operator as name=value; the value is JSON.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of results.")]


class SeveralValues(TyperCommand):
    """A command whose list-valued options take all values that follow the flag."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        flags = {name for p in self.params if getattr(p, "multiple", False) for name in (*p.opts, *p.secondary_opts)}
        return super().parse_args(ctx, spread(args, flags))


def spread(arguments: Iterable[str], flags: Collection[str]) -> list[str]:
    """Repeat each of `flags` before every value that follows it: `--w 1 2` becomes `--w 1 --w 2`.

    A value is anything up to the next option; a negative number is a value. After `--` nothing is changed.
    """
    arguments = list(arguments)
    result: list[str] = []
    flag: str | None = None
    first = False
    for index, argument in enumerate(arguments):
        if argument == "--":
            return result + arguments[index:]
        if argument in flags:
            flag, first = argument, True
            result.append(argument)
        elif argument.startswith("-") and not _is_number(argument):
            flag = None
            result.append(argument)
        else:
            if flag is not None and not first:
                result.append(flag)
            first = False
            result.append(argument)
    return result


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def chosen_device(settings: dict[str, Any], device: str | None) -> str:
    """The device of the command line, or of the config where none is given."""
    from jetbench.measure.case import resolve_device

    return resolve_device(settings.get("device", "auto") if device is None else device)


def named_option(text: str) -> tuple[str, Any]:
    """`name=value` as a name and a value; a value that is not JSON is a string."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"--option takes name=value; got {text!r}.")
    if name == "dim":
        raise ConfigError(f"The dimension is given by --dim, not by --option; got {text!r}.")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def check_positive(flag: str, value: float, most: float = 1e6) -> None:
    """Raise a ConfigError unless 0 < value ≤ most."""
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{flag} must be above 0 and finite; got {value:g}.")
    if value > most:
        raise ConfigError(f"{flag} must be at most {most:g}; got {value:g}.")


def write_json(path: Path, content: Any) -> None:
    """Write JSON to a file; a list of records with one record a line."""
    from jetbench.measure.records import encode

    rows = ",\n".join(encode(record) for record in content) if isinstance(content, list) else None
    text = f"[\n{rows}\n]\n" if rows is not None else json.dumps(content, indent=2) + "\n"
    with replacing(path) as stream:
        stream.write(text.encode())
