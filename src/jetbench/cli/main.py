"""The command `jetbench`: its commands by name. Importing it loads no framework."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jetbench.cli import collapse, compare, measure
from jetbench.cli.errors import OneLineErrors
from jetbench.cli.options import MethodsFile, OperatorsFile, SeveralValues
from jetbench.cli.report import app as report_app
from jetbench.errors import ConfigError, JetbenchError, unknown

app = typer.Typer(
    name="jetbench",
    cls=OneLineErrors,
    help="Measure how cheap linear PDE operators of neural networks can be. Start with `list` and `compare`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def list_command(
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            help="Any of operators, methods, estimators, networks, studies and support (which method supports what)."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Show the studies of this config only.")] = None,
    operators_file: OperatorsFile = None,
    methods_file: MethodsFile = None,
) -> None:
    """List operators, methods, estimators, networks and studies, and which method supports what."""
    from jetbench.cli import listing
    from jetbench.cli.console import stdout_console
    from jetbench.measure import own_files

    own_files.load(operators_file, methods_file)
    tables = listing.tables(config)
    wrong = [topic for topic in topics or () if topic not in tables]
    if wrong:
        raise ConfigError(unknown("topic", wrong[0], tables))
    console = stdout_console()
    for topic in topics or tables:
        try:
            console.print(tables[topic]())
        except JetbenchError as error:
            if topics or isinstance(error, ConfigError):
                raise
            console.print(f"{topic}: {error}", markup=False, highlight=False)


def machine_command(
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    name: Annotated[bool, typer.Option("--name", help="Print only the name of its results folder.")] = False,
) -> None:
    """Print the description of this machine that records contain, as JSON: hardware, versions, flags, commit."""
    from jetbench.measure import machine
    from jetbench.measure.case import resolve_device
    from jetbench.measure.supervisor import Setup, Supervisor

    device = resolve_device(device)
    if name:
        typer.echo(machine.name(device))
        return
    with Supervisor(Setup(device=device)) as supervisor:
        typer.echo(json.dumps(supervisor.hello["machine"], indent=2, ensure_ascii=False))


COMMANDS = {
    "list": list_command,
    "compare": compare.compare_command,
    "check-method": compare.check_method_command,
    "recommend": compare.recommend_command,
    "compare-runs": compare.compare_runs_command,
    "measure": measure.measure_command,
    "sweep": measure.sweep_command,
    "train": measure.train_command,
    "plan": measure.plan_command,
    "curves": measure.curves_command,
    "explain": collapse.explain_command,
    "machine": machine_command,
}
for name, function in COMMANDS.items():
    app.command(name, cls=SeveralValues)(function)
app.add_typer(report_app, name="report")
