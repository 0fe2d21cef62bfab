"""The commands that measure configs: `measure`, `sweep`, `train`, `plan` and `curves`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jetbench.cli.options import (
    Again,
    AnyGpu,
    Config,
    Device,
    Out,
    Quiet,
    Study,
    check_positive,
    chosen_device,
    write_json,
)
from jetbench.errors import ConfigError, unknown


def measure_command(
    config: Config,
    study: Annotated[str, typer.Option("--study", help="Name of the study.")],
    curve: Annotated[
        list[str], typer.Option("--curve", help="Names of one or more curves; `jetbench curves` prints them.")
    ],
    out: Out,
    device: Device = None,
    any_gpu: AnyGpu = False,
    again: Again = "never",
    quiet: Quiet = False,
) -> None:
    """Measure the points of curves that have no record yet and append the records to OUT/STUDY/CURVE.jsonl."""
    from jetbench.measure import case
    from jetbench.measure import config as configs

    settings = configs.load(config)
    device = chosen_device(settings, device)
    curves = [case.curve(settings, study, name, device) for name in curve]
    _measure(curves, settings, out, device, again, None, quiet, any_gpu)


def sweep_command(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="Folder of all results; this machine gets a subfolder.")] = Path(
        "results"
    ),
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="Stop after this many minutes; run the same command again to continue."),
    ] = None,
    machine_name: Annotated[
        str | None, typer.Option("--machine-name", help="Name of the subfolder of this machine, such as h200.")
    ] = None,
    study: Study = None,
    device: Device = None,
    any_gpu: AnyGpu = False,
    again: Again = "never",
    quiet: Quiet = False,
) -> None:
    """Measure a whole config without Snakemake. An interrupted run continues; --minutes splits it into slices."""
    from jetbench.measure import case, sweep
    from jetbench.measure import config as configs

    if minutes is not None:
        check_positive("--minutes", minutes)
    settings = configs.load(config)
    device = chosen_device(settings, device)
    curves = case.curves(settings, study, device)
    folder = sweep.folder(out, device, machine_name)
    _measure(curves, settings, folder, device, again, minutes, quiet, any_gpu)
    if settings.get("training") and study is None and minutes is None:
        from jetbench.training import run

        run.train(settings, folder, device, (lambda text: None) if quiet else typer.echo)


def train_command(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results of this machine.")],
    device: Device = None,
    again: Annotated[bool, typer.Option("--again", help="Also repeat the trainings that have a record.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a network to the same loss with each method of `training` in the config, into OUT/training.jsonl."""
    from jetbench.measure import config as configs
    from jetbench.training import run

    settings = configs.load(config)
    if not settings.get("training"):
        raise ConfigError(f"The config {config} has no `training`; see workflows/config/cpu.yaml.")
    run.train(settings, out, chosen_device(settings, device), (lambda text: None) if quiet else typer.echo, again)


def plan_command(
    config: Config,
    study: Study = None,
    device: Device = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the config as JSON."),
    ] = None,
) -> None:
    """List every point of a config with estimates of time and memory, without measuring. Needs no GPU."""
    from jetbench.cli.console import stdout_console
    from jetbench.measure import case, plan
    from jetbench.measure import config as configs

    settings = configs.load(config)
    device = chosen_device(settings, device)
    found = plan.estimates(case.curves(settings, study, device), settings)
    console = stdout_console()
    if len(found) <= plan.MOST_ROWS:
        console.print(plan.table(found))
    else:
        typer.echo("\n".join(plan.lines(found)))
    console.print(plan.summary(found), highlight=False)
    console.print(plan.assumptions(device), highlight=False)
    if json_out is not None:
        write_json(json_out, settings)


def curves_command(config: Config, study: Study = None, device: Device = None) -> None:
    """Print the curves of a config, one STUDY/CURVE per line. Loads no framework."""
    from jetbench.measure import case
    from jetbench.measure import config as configs

    settings = configs.load(config)
    for curve in case.curves(settings, study, chosen_device(settings, device)):
        typer.echo(str(curve))


def _measure(
    curves: Sequence[Any],
    settings: dict[str, Any],
    folder: Path,
    device: str,
    again: str,
    minutes: float | None,
    quiet: bool,
    any_gpu: bool,
) -> None:
    from jetbench.measure import sweep
    from jetbench.measure.progress import Progress

    if again not in ("never", "failed", "all"):
        raise ConfigError(unknown("value", again, ("never", "failed", "all"), "--again"))
    with Progress(quiet) as progress:
        result = sweep.measure(curves, settings, folder, progress, device, again, minutes, any_gpu)
    if not quiet:
        more = " Run the same command again to go on." if result.left else ""
        typer.echo(f"{folder}: {result}{more}")
