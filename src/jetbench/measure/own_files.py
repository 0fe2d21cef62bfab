"""Users' own operators and methods, as the command line and configs name them."""

from __future__ import annotations

from pathlib import Path

from jetbench import methods, operators
from jetbench.errors import ConfigError


def load(operators_file: str | Path | None = None, methods_file: str | Path | None = None) -> None:
    """Run the user's own files of operators and methods, if there are any.

    Raises:
        ConfigError: one cannot be run, or registers nothing.
    """
    for path, kind, function in (
        (operators_file, "operators", operators.load),
        (methods_file, "methods", methods.load),
    ):
        if path:
            try:
                function(path)
            except (Exception, SystemExit) as error:
                why = " ".join(f"{type(error).__name__}: {error}".split())
                raise ConfigError(f"The {kind} file {path} cannot be used: {why}") from error
