"""The commands `jetbench report …`: collect records, write tables and figures, print the summary."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jetbench.cli.errors import OneLineErrors

if TYPE_CHECKING:
    import pandas as pd

    from jetbench.report.tables import Data

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
    from jetbench.report import tables

    made = tables.make(name, _data(records, machine, published))
    if made.frame.empty and name != "status":
        typer.secho(f"Warning: table {name}: no data; the files say so.", fg="yellow", err=True)
    _tell(made.write(out))


@app.command("figure")
def figure_command(
    name: Annotated[str, typer.Argument(help="Name of a figure; `jetbench report list` prints them.")],
    out: Out,
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Write one figure as PDF and PNG. Without data, the figure is a placeholder."""
    from jetbench.report import gallery

    _tell(gallery.write(name, _data(records, machine, published), out))


@app.command("summary")
def summary_command(
    records: Records = DEFAULT_RECORDS,
    machine: Machine = None,
    tables: Annotated[Path, typer.Option("--tables", help="Folder of tables to mention.")] = Path("tables"),
    figures: Annotated[Path, typer.Option("--figures", help="Folder of figures to mention.")] = Path("figures"),
) -> None:
    """Print a short comparison of the methods, the failures, and the folders of tables and figures."""
    from jetbench.report import summary

    summary.show(_data(records, machine, None), [("Tables", tables), ("Figures", figures)])


@app.command("all")
def all_command(
    results: Annotated[Path, typer.Argument(help="Folder with <machine>/<study>/*.jsonl.")] = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder for the table, tables/ and figures/.")] = Path("report"),
    machine: Machine = None,
    published: PublishedFolder = None,
) -> None:
    """Collect the records, write every table and figure, and print the summary."""
    from jetbench.report import collect, gallery, summary, tables

    collect.write(collect.read(results), out)
    _write_training(results, out)
    data = _data(out / "records.parquet", machine, published)
    for name in tables.TABLES:
        tables.make(name, data).write(out / "tables" / name)
    for name in gallery.FIGURES:
        gallery.write(name, data, out / "figures" / name)
    summary.show(data, [("Tables", out / "tables"), ("Figures", out / "figures"), ("Records", out / "records.parquet")])


@app.command("list")
def list_command() -> None:
    """List all tables and figures and what each of them shows."""
    from jetbench.report import gallery, tables

    for kind, entries in (("Tables", tables.TABLES), ("Figures", gallery.FIGURES)):
        typer.echo(kind)
        for entry in entries.values():
            typer.echo(f"  {entry.name:<20} {entry.shows}")


def _data(records: Path, machine: str | None, published: Path | None) -> Data:
    from jetbench.report import collect
    from jetbench.report import published as paper
    from jetbench.report.findings import training
    from jetbench.report.tables import Data

    frame: pd.DataFrame = collect.load(records)
    known = collect.machines(frame)
    if machine is not None and machine not in known:
        told = f"there are records of {', '.join(known)}" if known else "nothing was measured yet"
        typer.secho(f"Warning: no records of the machine {machine}; {told}.", fg="yellow", err=True)
        return Data(frame.iloc[:0], paper.load(published))
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
    trained = training.load(records, str(shown.machine.iloc[0]) if len(shown) else machine)
    return Data(shown, paper.load(published), trained)


def _write_training(results: Path, out: Path) -> None:
    from jetbench.report.findings import training
    from jetbench.training.run import collected

    training.write(collected(results), out)


def _tell(paths: list[Path]) -> None:
    typer.echo(" ".join(str(path) for path in paths))
