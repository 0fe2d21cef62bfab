"""The commands `jetbench report page`, `paper` and `html`, which write whole documents from the records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jetbench.cli.report import DEFAULT_RECORDS, Machine, PublishedFolder, Records, _data, _tell, app


@app.command("page")
def page_command(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = Path("docs/reproduction.md"),
    picture: Annotated[str | None, typer.Option("--picture", help="Link to the picture, relative to the page.")] = None,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write the reproduction, point by point, as a Markdown page."""
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
        str | None, typer.Option("--machine", help="Machine to use (default: the most capable one).")
    ] = None,
    published: PublishedFolder = None,
    sources: Annotated[Path | None, typer.Option("--sources", help="Folder with main.tex.")] = None,
    results: Annotated[Path, typer.Option("--results", help="Folder with the descriptions of the machines.")] = Path(
        "results"
    ),
    work: Annotated[Path, typer.Option("--work", help="Build folder.")] = Path("build/paper"),
) -> None:
    """Build the paper from the records: values, tables, figures, LaTeX and checks. Needs latexmk."""
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
    results: Annotated[Path, typer.Option("--results", help="Folder with the descriptions of the machines.")] = Path(
        "results"
    ),
    config: Annotated[Path | None, typer.Option("--config", help="The config that was measured.")] = None,
) -> None:
    """Write one HTML file that works offline: figures, curves, all records and their provenance."""
    from jetbench.report import collect, html

    known = collect.machines(collect.load(records))
    text = html.report(_data(records, machine, published), results, config, known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    _tell([out])
