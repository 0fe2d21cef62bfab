"""`jetbench report page`, `paper` and `html`: whole documents from the records. Mounted by `jetbench.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetbench.report.commands import (
    DEFAULT_RECORDS,
    Machine,
    PublishedFolder,
    Records,
    _data,
    _tell,
    app,
)


@app.command("page")
def page_command(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = Path("docs/reproduction.md"),
    picture: Annotated[str | None, typer.Option("--picture", help="Link to the picture, as the page sees it.")] = None,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write the reproduction, point by point, as a page in Markdown."""
    from jetbench.report import page

    text = page.page(_data(records, machine, published), picture)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    _tell([out])


@app.command("paper")
def paper_command(
    out: Annotated[Path, typer.Option("--out", help="PDF to write.")] = Path("paper/jetbench.pdf"),
    records: Records = DEFAULT_RECORDS,
    machine: Annotated[
        str | None, typer.Option("--machine", help="By default the best there is: a GPU before a CPU.")
    ] = None,
    published: PublishedFolder = None,
    sources: Annotated[Path | None, typer.Option("--sources", help="Folder with main.tex.")] = None,
    results: Annotated[Path, typer.Option("--results", help="Folder of the machines' descriptions.")] = Path("results"),
    work: Annotated[Path, typer.Option("--work", help="Folder to build in.")] = Path("build/paper"),
) -> None:
    """Build the paper from the records: values, tables and figures, then LaTeX, then the checks. Needs latexmk."""
    from jetbench.report import collect
    from jetbench.report.paper.build import build
    from jetbench.report.paper.values import best_machine

    chosen = machine or best_machine(collect.load(records))
    complaints = build(_data(records, chosen, published), out, work, sources, results)
    _tell([out])
    for complaint in complaints:
        typer.secho(complaint, fg="red", err=True)
    if complaints:
        raise typer.Exit(1)


@app.command("html")
def html_command(
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("report.html"),
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
    results: Annotated[Path, typer.Option("--results", help="Folder of the machines' descriptions.")] = Path("results"),
    config: Annotated[Path | None, typer.Option("--config", help="The configuration that was measured.")] = None,
) -> None:
    """Write everything as one HTML file that opens without network: pictures, curves, all records, provenance."""
    from jetbench.report import collect, html

    known = collect.machines(collect.load(records))
    text = html.report(_data(records, machine, published), results, config, known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    _tell([out])
