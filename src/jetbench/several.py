"""Options that take several values after one flag, `--widths 768 768 512`, as well as the flag repeated."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from typer.core import TyperCommand


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
