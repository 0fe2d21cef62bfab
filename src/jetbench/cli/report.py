"""The commands `jetbench report …`: collect records; write tables, figures and documents; print the summary."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jetbench.cli.errors import OneLineErrors

if TYPE_CHECKING:
    from jetbench.report.data import Data

app = typer.Typer(
    name="report",
    cls=OneLineErrors,
    help="Make tables and figures from records. Start with `collect`, or run everything with `all`.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def show_warnings() -> None:
    """Make tables and figures from records. Start with `collect`, or run everything with `all`."""
    logging.basicConfig(level=logging.WARNING, format="Warning: %(message)s")


Records = Annotated[Path, typer.Option("--records", help="Collected table: records.parquet or records.csv.")]
Machine = Annotated[
    str | None,
    typer.Option("--machine", help="Machine to show, by folder name (default: one with a GPU, or the last used)."),
]
PublishedFolder = Annotated[Path | None, typer.Option("--published", help="Folder with the published numbers.")]
Out = Annotated[Path, typer.Option("--out", help="Output path; without a suffix all formats are written.")]
DEFAULT_RECORDS = Path("results/records.parquet")


@app.command("collect")
def collect_command(
    results: Annotated[Path, typer.Argument(help="Folder with <machine>/<study>/*.jsonl.")] = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder for records.parquet, records.csv, COLUMNS.md.")] = Path(
        "results"
    ),
) -> None:
    """Collect the records of all machines in one table (Parquet and CSV) and write a description of its columns."""
    from jetbench.report import collect

    frame = collect.read(results)
    paths = collect.write(frame, out)
    _write_training(results, out)
    typer.echo(f"{len(frame)} points of {len(collect.machines(frame))} machine(s): {', '.join(map(str, paths))}")


@app.command("table")
def table_command(
    name: Annotated[str, typer.Argument(help="Name of a table; `jetbench report list` prints them.")],
    out: Out,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write one table as CSV, Markdown and LaTeX."""
    from jetbench.report.registry import TABLES

    table = TABLES.make(name, data_of(records, machine, published))
    if table.frame.empty and name != "status":
        typer.secho(f"Warning: table {name}: no data; the files say so.", fg="yellow", err=True)
    _tell(table.write(out))


@app.command("figure")
def figure_command(
    name: Annotated[str, typer.Argument(help="Name of a figure; `jetbench report list` prints them.")],
    out: Out,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write one figure as PDF and PNG. Without data, the figure is a placeholder."""
    from jetbench.report.figures import style

    _tell(style.write(name, data_of(records, machine, published), out))


@app.command("summary")
def summary_command(
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    tables: Annotated[Path | None, typer.Option("--tables", help="Folder of tables to mention.")] = None,
    figures: Annotated[Path | None, typer.Option("--figures", help="Folder of figures to mention.")] = None,
) -> None:
    """Print a short comparison of the methods, the failures, and the folders of tables and figures."""
    from jetbench.report import summary

    data = data_of(records, machine, None)
    own_tables, own_figures = _folders(data, Path())
    summary.show(data, [("Tables", tables or own_tables), ("Figures", figures or own_figures)])


@app.command("draw")
def draw_command(
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables/<machine> and figures/<machine>.")] = Path("."),
) -> None:
    """Write every table and figure of one machine into folders named after it."""
    _tell(_draw(data_of(records, machine, published), out))


@app.command("all")
def all_command(
    results: Annotated[Path, typer.Argument(help="Folder with <machine>/<study>/*.jsonl.")] = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder for the records, tables/ and figures/.")] = Path("report"),
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Collect the records, write every table and figure of one machine, and print the summary."""
    from jetbench.report import collect, summary

    collect.write(collect.read(results), out)
    _write_training(results, out)
    data = data_of(out / "records.parquet", machine, published)
    tables, figures = _draw(data, out)
    summary.show(data, [("Tables", tables), ("Figures", figures), ("Records", out / "records.parquet")])


@app.command("page")
def page_command(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = Path("docs/reproduction.md"),
    picture: Annotated[str | None, typer.Option("--picture", help="Link to the picture, relative to the page.")] = None,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write the reproduction, point by point, as a Markdown page."""
    from jetbench.report.reproduction import page

    text = page.page(data_of(records, machine, published), picture)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    _tell([out])


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
    text = html.report(data_of(records, machine, published), results, config, known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    _tell([out])


@app.command("list")
def list_command() -> None:
    """List all tables and figures and what each of them shows."""
    from jetbench.report.registry import FIGURES, TABLES

    for kind, entries in (("Tables", TABLES), ("Figures", FIGURES)):
        typer.echo(kind)
        for entry in entries.values():
            typer.echo(f"  {entry.name:<20} {entry.shows}")


def data_of(records: Path, machine: str | None, published: Path | None) -> Data:
    """The records of one machine with the published numbers; warns of what is not shown.

    Args:
        records: a collected table.
        machine: folder of the machine; None for one with a GPU, or the last used.
    """
    from jetbench.report import collect
    from jetbench.report.data import Data
    from jetbench.report.reproduction.published import load

    frame = collect.load(records)
    known = collect.machines(frame)
    if machine is not None and machine not in known:
        told = f"there are records of {', '.join(known)}" if known else "nothing was measured yet"
        typer.secho(f"Warning: no records of the machine {machine}; {told}.", fg="yellow", err=True)
        return Data(frame.iloc[:0], load(published))
    if machine is None and len(known) > 1:
        typer.secho(
            f"Records of {len(known)} machines, which are never mixed; showing {known[0]}."
            f" Choose with --machine: {', '.join(known)}.",
            fg="yellow",
            err=True,
        )
    for other in collect.kept_apart(known, machine):
        rows = collect.one_machine(frame, other)
        where = ", ".join(filter(None, [*rows.hardware.dropna().unique(), *rows.node.dropna().unique()]))
        typer.secho(
            f"Not all of {machine} was measured alike: {len(rows)} points are kept apart as {other!r} ({where}), to be"
            " shown with --machine.",
            fg="yellow",
            err=True,
        )
    shown = collect.one_machine(frame, machine)
    trained = collect.load_training(records, str(shown.machine.iloc[0]) if len(shown) else machine)
    return Data(shown, load(published), trained)


def _write_training(results: Path, out: Path) -> None:
    from jetbench.report.collect import write_training
    from jetbench.training.run import collected

    write_training(collected(results), out)


def _folders(data: Data, out: Path) -> list[Path]:
    """The folders of the tables and of the figures of the machine that was measured."""
    machine = "none" if data.records.empty else str(data.records.machine.iloc[0]).replace("/", "_")
    return [out / "tables" / machine, out / "figures" / machine]


def _draw(data: Data, out: Path) -> list[Path]:
    """Write all tables and figures; their folders."""
    from jetbench.report.figures import style
    from jetbench.report.registry import FIGURES, TABLES

    tables, figures = _folders(data, out)
    for name in TABLES:
        TABLES.make(name, data).write(tables / name)
    for name in FIGURES:
        style.write(name, data, figures / name)
    return [tables, figures]


def _tell(paths: list[Path]) -> None:
    typer.echo(" ".join(str(path) for path in paths))
