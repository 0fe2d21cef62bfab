"""The command `jetbench explain`, mounted by `jetbench.cli`; importing it loads no framework."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetbench.errors import ConfigError
from jetbench.whole_files import check_writable


def explain_command(
    function: Annotated[str, typer.Argument(help="FILE.py:NAME of a function; the file is run.")],
    shapes: Annotated[
        list[str] | None, typer.Option("--shapes", help="Of the function's arguments, such as 32x50 64.")
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help="torch or jax.")] = "torch",
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            help="float64, float32, bfloat16 or float16; by default that of the function's own tensors, or float64.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw both computations to this file: .svg, .pdf or .png.")
    ] = None,
) -> None:
    """Show what `collapse` does to a function: operations before and after, and where each sum came to rest.

    Example: jetbench explain own_laplacian.py:laplacian --shapes 32x50 --picture laplacian.svg
    """
    from jetbench.collapse import from_file

    if picture is not None and picture.suffix not in (".svg", ".pdf", ".png"):
        raise ConfigError(f"--picture must end in .svg, .pdf or .png; got {picture}.")
    if picture is not None:
        check_writable(picture)
    explanation = from_file.explain(function, shapes or (), backend, dtype)
    typer.echo(str(explanation))
    if picture is not None:
        explanation.draw(picture)
