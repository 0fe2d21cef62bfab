"""The command `explain` of the rewriting pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetbench.atomic_files import check_writable
from jetbench.errors import ConfigError


def explain_command(
    function: Annotated[str, typer.Argument(help="A function as FILE.py:NAME; the file is run.")],
    shapes: Annotated[
        list[str] | None, typer.Option("--shapes", help="Shapes of the arguments, such as 32x50 64.")
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help="torch or jax.")] = "torch",
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            help="float64, float32, bfloat16 or float16 (default: that of the tensors of the function, or float64).",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw both computations to this .svg, .pdf or .png file.")
    ] = None,
) -> None:
    """Show what `collapse` does to a function: operations before and after, and where each sum is taken.

    Example: jetbench explain own_laplacian.py:laplacian --shapes 32x50 --picture laplacian.svg
    """
    from jetbench.cli import from_file

    if picture is not None and picture.suffix not in (".svg", ".pdf", ".png"):
        raise ConfigError(f"--picture must end in .svg, .pdf or .png; got {picture}.")
    if picture is not None:
        check_writable(picture)
    explanation = from_file.explain(function, shapes or (), backend, dtype)
    typer.echo(str(explanation))
    if picture is not None:
        explanation.draw(picture)
