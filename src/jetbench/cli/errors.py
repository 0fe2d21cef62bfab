"""Errors on the command line: one line on the standard error and an exit status, without a traceback.

Only their form belongs here; messages are written where the errors are raised.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from jetbench.errors import Interrupted, JetbenchError

LONGEST = 800
#: What typer and click raise for a wrong command line. Typer carries a click of its own, under another name.
UsageError: type[Any] = typer.BadParameter.__bases__[0]


class OneLineErrors(TyperGroup):
    """A group of commands in which everything that a user can put right ends as one line and status 2."""

    def main(
        self, args: Sequence[str] | None = None, *others: Any, standalone_mode: bool = True, **settings: Any
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(args, *others, standalone_mode=False, **settings)
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                status = error.exit_code
            else:
                status = complain(_usage(error, given))
        except Interrupted as stop:
            status = complain(str(stop), stop.status, color=None, prefix="")
        except JetbenchError as error:
            status = complain(str(error))
        except OSError as error:
            if error.errno == errno.EPIPE:
                # Whoever read the output has enough. Python would flush into the closed pipe once more at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(1)
            status = complain(refused(error))
        except MemoryError:
            status = complain("This machine does not have enough memory for this command.")
        else:
            if not standalone_mode:
                return result
            status = result if isinstance(result, int) else 0
        sys.exit(status)


def complain(message: str, status: int = 2, color: str | None = "red", prefix: str = "Error: ") -> int:
    """Write a message in one line to the standard error; the exit status."""
    typer.secho(prefix + one_line(message), fg=color, err=True)
    return status


def one_line(text: str) -> str:
    """A text without line breaks and control characters, which are shown escaped, and not longer than a screen."""
    text = " ".join(text.splitlines())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    half = LONGEST // 2 - 3
    return shown if len(shown) <= LONGEST else f"{shown[:half]} ... {shown[-half:]}"


def _usage(error: Any, given: Sequence[str]) -> str:
    """What is wrong with a command line, the value that was given, and where to find what is allowed."""
    message = " ".join(error.format_message().split())
    flags = [*getattr(getattr(error, "param", None), "opts", [])]
    values = [value for value in _values(given, flags) if value not in message]
    got = f"; got {' '.join(map(repr, values))}" if values else ""
    context = getattr(error, "ctx", None)
    known = f" `{context.command_path} --help` lists what is allowed." if context is not None else ""
    return f"{message.rstrip('.')}{got}.{known}"


def _values(given: Sequence[str], flags: Sequence[str]) -> list[str]:
    """What follows some flags on a command line."""
    found = []
    for index, word in enumerate(given):
        name, separator, value = word.partition("=")
        if name in flags:
            following = [value] if separator else []
            for later in given[index + 1 :] if not separator else ():
                if later.startswith("--"):
                    break
                following.append(later)
            found += following
    return found


def refused(error: OSError) -> str:
    """What the system refused, and what to do where that is known."""
    where = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: " Make room, or choose another folder.",
        errno.EDQUOT: " Make room, or choose another folder.",
        errno.EFBIG: " Choose a file system that takes larger files.",
        errno.EEXIST: " It exists and is not a directory; choose another path.",
        errno.ENOTDIR: " A part of the path is not a directory; choose another path.",
        errno.EROFS: " Choose a folder that can be written to.",
        errno.EACCES: " Choose a folder that can be written to.",
        errno.EPERM: " Choose a folder that can be written to.",
    }.get(error.errno, "")
    return f"{where}{error.strerror or error}.{advice}"
