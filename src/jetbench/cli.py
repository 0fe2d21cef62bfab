"""The command `jetbench`. Only options and messages belong here; importing it loads no framework."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jetbench.collapse.commands import explain_command, fuzz_command
from jetbench.complaints import OneLineErrors
from jetbench.errors import ConfigError, JetbenchError
from jetbench.report.commands import app as report_app
from jetbench.several import SeveralValues
from jetbench.whole_files import check_writable, replacing

app = typer.Typer(
    name="jetbench",
    cls=OneLineErrors,
    help="Measure how cheap linear PDE operators of neural networks can be. Start with `list` and `compare`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(report_app, name="report")

Config = Annotated[Path, typer.Option("--config", help="YAML or JSON file with the studies.")]
Study = Annotated[str | None, typer.Option("--study", help="Only this study.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of this machine's results.")]
Again = Annotated[
    str, typer.Option("--again", help="Which recorded points to measure once more: never, failed (not ok) or all.")
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda; by default as the config says.")]
AnyGpu = Annotated[
    bool,
    typer.Option(
        "--any-gpu", help="Use whichever visible GPU is free, and cores near it; by default the first visible GPU."
    ),
]
Widths = Annotated[list[int], typer.Option("--widths", min=1, max=2**20, help="Widths of the hidden layers.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
JsonOut = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file as JSON.")]


def _command(name: str, **settings: Any) -> Callable[[Callable], Callable]:
    """Register a command whose list options take several values after one flag."""
    return app.command(name, cls=SeveralValues, **settings)


@_command("list")
def list_command(
    topics: Annotated[
        list[str] | None,
        typer.Argument(help="operators, methods, estimators, networks, studies or support (what supports what)."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Show the studies of this config only.")] = None,
    operators_file: Annotated[
        Path | None, typer.Option("--operators-file", help="Your own operators; the file is run.")
    ] = None,
) -> None:
    """Show operators, methods, estimators, networks, studies, and what supports what."""
    from jetbench import listing
    from jetbench.measure.case import load_operators
    from jetbench.measure.progress import paper

    load_operators(str(operators_file) if operators_file else None)
    tables = listing.tables(config)
    wrong = [topic for topic in topics or () if topic not in tables]
    if wrong:
        raise ConfigError(f"There is nothing to list called {wrong[0]!r}; there are {', '.join(tables)}.")
    console = paper()
    for topic in topics or tables:
        try:
            console.print(tables[topic]())
        except JetbenchError as error:
            if topics or isinstance(error, ConfigError):
                raise
            console.print(f"{topic}: {error}", markup=False, highlight=False)


@_command("compare")
def compare_command(
    operator: Annotated[str, typer.Option("--operator", help="Name of an operator; `jetbench list operators`.")],
    dim: Annotated[int, typer.Option("--dim", min=1, max=4000, help="Number of coordinates of x.")],
    widths: Widths = [768, 768, 512, 512],  # noqa: B006
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=2**31 - 1, help="Number of points x evaluated together.")
    ] = 32,
    dtype: Annotated[
        str, typer.Option("--dtype", help="float64, float32, tf32 (on GPUs), bfloat16 or float16.")
    ] = "float64",
    methods: Annotated[list[str] | None, typer.Option("--methods", help="By default all of each backend.")] = None,
    backend: Annotated[list[str], typer.Option("--backend", help="torch, jax or both.")] = ["torch"],  # noqa: B006
    mode: Annotated[
        list[str] | None, typer.Option("--mode", help="eager, compiled or both; by default eager, compiled for jax.")
    ] = None,
    network: Annotated[str, typer.Option("--network", help="mlp, residual_mlp, layernorm_mlp or attention.")] = "mlp",
    activation: Annotated[str, typer.Option("--activation", help="Between the layers.")] = "tanh",
    outputs: Annotated[
        int | None,
        typer.Option("--outputs", min=1, max=2**20, help="Of the network; by default what the operator needs."),
    ] = None,
    estimator: Annotated[str, typer.Option("--estimator", help="exact, normal, rademacher or coordinate.")] = "exact",
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, max=2**31 - 1, help="Of a random estimator.")
    ] = None,
    directions: Annotated[
        list[str], typer.Option("--directions", help="polarization, griewank or both; above order 2.")
    ] = ["polarization"],  # noqa: B006
    option: Annotated[
        list[str] | None, typer.Option("--option", help="An argument of the operator: name=value, the value in JSON.")
    ] = None,
    operators_file: Annotated[
        Path | None, typer.Option("--operators-file", help="Your own operators; the file is run.")
    ] = None,
    budget: Annotated[float, typer.Option("--budget", help="Seconds of sampling for each measurement.")] = 8.0,
    first_call: Annotated[
        float, typer.Option("--first-call", help="Seconds for everything else of a measurement, compilation included.")
    ] = 300.0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; by default all cores.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of the network's weights.")] = 0,
    gradient: Annotated[bool, typer.Option(help="Time the gradient too.")] = True,
    memory: Annotated[bool, typer.Option(help="Measure peak memory.")] = True,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the records to this file.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure one operator by several methods and show them side by side.

    Example: jetbench compare --operator biharmonic --dim 5 --batch 32 --methods nested taylor collapsed
    --mode eager compiled --json out.json
    """
    from jetbench.measure import compare
    from jetbench.measure.case import check_threads, load_operators, resolve_device
    from jetbench.measure.progress import Progress, paper
    from jetbench.measure.supervisor import Setup

    _positive("--budget", budget)
    _positive("--first-call", first_call)
    check_threads(threads, "--threads")
    load_operators(str(operators_file) if operators_file else None)
    common = {
        "operator": operator,
        "dim": dim,
        "operator_options": dict(_option(text) for text in option or ()),
        "estimator": estimator,
        "samples": samples,
        "network": network,
        "widths": tuple(widths),
        "activation": activation,
        "outputs": outputs,
        "network_seed": seed,
        "dtype": dtype,
        "batch": batch,
        "device": resolve_device(device),
    }
    points = compare.points(common, methods, mode, directions, backend)
    setup = Setup(
        device=common["device"],
        threads=threads,
        budget={"point_s": budget, "first_call_s": first_call, "gradient": gradient, "memory": memory},
        operators_file=str(operators_file) if operators_file else None,
    )
    if json_out is not None:
        check_writable(json_out)
    with Progress(quiet) as progress:
        found = compare.measure(points, setup, progress, json_out and functools.partial(_write_json, json_out))
    console = paper()
    console.print(compare.table(found))
    for line in compare.notes(found):
        console.print(line, markup=False, highlight=False)
    if all(record["status"] != "ok" for record in found):
        raise typer.Exit(1)


@_command("recommend")
def recommend_command(
    operator: Annotated[str, typer.Option("--operator", help="Name of an operator; `jetbench list operators`.")],
    dim: Annotated[int, typer.Option("--dim", min=1, max=4000, help="Number of coordinates of x.")],
    widths: Widths = [768, 768, 512, 512],  # noqa: B006
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=2**31 - 1, help="Number of points x evaluated together.")
    ] = 32,
    dtype: Annotated[str, typer.Option("--dtype", help="Floating-point type.")] = "float64",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="An argument of the operator: name=value, the value in JSON.")
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="Folder of results.")] = Path("results"),
    machine: Annotated[
        str | None, typer.Option("--machine", help="Whose records; by default the best there is.")
    ] = None,
) -> None:
    """Rank the methods for an operator and a network by a rule fitted to the records, with its evidence.

    Example: jetbench recommend --operator biharmonic --dim 5 --widths 256 256 --batch 64
    """
    from jetbench.measure.case import DTYPES
    from jetbench.measure.progress import paper
    from jetbench.report import collect, recommend
    from jetbench.report.data import best_machine

    if dtype not in DTYPES:
        raise ConfigError(f"--dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
    order, outputs, vectors = recommend.counting(operator, {"dim": dim, **dict(_option(text) for text in option or ())})
    frame = collect.read(results)
    machine = machine or best_machine(frame)
    if machine is None:
        raise ConfigError(f"There are no records in {results}. Measure some with `make` or `jetbench sweep`.")
    frame = collect.one_machine(frame, machine)
    size = recommend.Size(operator, order, dim, tuple(widths), outputs, batch)
    found = recommend.ranking(frame, size, dtype, vectors)
    console = paper()
    console.print(recommend.table(found, size, machine))
    console.print(recommend.advice(found), markup=False, highlight=False)


@_command("compare-runs")
def compare_runs_command(
    first: Annotated[str, typer.Argument(help="Folder of a machine's results, or its name below --results.")],
    second: Annotated[str, typer.Argument(help="Another one; ratios are its costs over those of the first.")],
    of: Annotated[
        str,
        typer.Option(
            "--of",
            help="time, time over floor or nested (floor, nested), or peak memory (memory, memory_differentiable).",
        ),
    ] = "time",
    within: Annotated[
        float, typer.Option("--within", min=0, max=1e6, help="Ratios so close to 1 are the same.")
    ] = 0.02,
    results: Annotated[Path, typer.Option("--results", help="Folder of results.")] = Path("results"),
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the points to this file, too.")] = None,
) -> None:
    """Compare two runs point by point: ratios with intervals, and same, faster, slower or unstable."""
    from jetbench.measure.progress import paper
    from jetbench.report import runs

    names = (Path(first).name, Path(second).name)
    if csv is not None:
        check_writable(csv)
    found = runs.compared(runs.run(first, results), runs.run(second, results), of, within)
    console = paper()
    if csv is not None:
        with replacing(csv) as stream:
            found.points.to_csv(stream, index=False)
    console.print(runs.table(found, names, of))
    console.print(runs.summary(found, names), markup=False, highlight=False)


@_command("measure")
def measure_command(
    config: Config,
    study: Annotated[str, typer.Option("--study", help="Name of the study.")],
    curve: Annotated[
        list[str], typer.Option("--curve", help="Name of one or more curves; `jetbench curves` prints them.")
    ],
    out: Out,
    device: Device = None,
    any_gpu: AnyGpu = False,
    again: Again = "never",
    quiet: Quiet = False,
) -> None:
    """Measure the points of some curves that have no record yet, and append them to OUT/STUDY/CURVE.jsonl."""
    from jetbench.measure import case
    from jetbench.measure import config as configs

    settings = configs.load(config)
    device = _device(settings, device)
    curves = [case.curve(settings, study, name, device) for name in curve]
    _measure(curves, settings, out, device, again, None, quiet, any_gpu)


@_command("sweep")
def sweep_command(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="Folder of all results; this machine's lie below it.")] = Path(
        "results"
    ),
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Stop after so long; the same command goes on from there.")
    ] = None,
    machine_name: Annotated[
        str | None, typer.Option("--machine-name", help="Name of this machine's folder, such as h200.")
    ] = None,
    study: Study = None,
    device: Device = None,
    any_gpu: AnyGpu = False,
    again: Again = "never",
    quiet: Quiet = False,
) -> None:
    """Measure a whole config without Snakemake, study by study; resumes, in slices of --minutes if you like."""
    from jetbench.measure import case, sweep
    from jetbench.measure import config as configs

    if minutes is not None:
        _positive("--minutes", minutes)
    settings = configs.load(config)
    device = _device(settings, device)
    curves = case.curves(settings, study, device)
    folder = sweep.folder(out, device, machine_name)
    _measure(curves, settings, folder, device, again, minutes, quiet, any_gpu)
    if settings.get("training") and study is None and minutes is None:
        from jetbench.training import run

        run.train(settings, folder, device, (lambda text: None) if quiet else typer.echo)


@_command("train")
def train_command(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="Folder of this machine's results.")],
    device: Device = None,
    again: Annotated[bool, typer.Option("--again", help="Train once more what has a record.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a network to the same loss with each method, as the config's `training` says; into OUT/training.jsonl."""
    from jetbench.measure import config as configs
    from jetbench.training import run

    settings = configs.load(config)
    if not settings.get("training"):
        raise ConfigError(f"The config {config} has no `training`; see workflows/config/cpu.yaml.")
    run.train(settings, out, _device(settings, device), (lambda text: None) if quiet else typer.echo, again)


@_command("plan")
def plan_command(
    config: Config,
    study: Study = None,
    device: Device = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", help="Write the config itself as JSON, for hosts without PyYAML."),
    ] = None,
) -> None:
    """List every point of a config with its estimated time and memory. Nothing is measured; no GPU is needed."""
    from jetbench.measure import case, plan
    from jetbench.measure import config as configs
    from jetbench.measure.progress import paper

    settings = configs.load(config)
    device = _device(settings, device)
    found = plan.estimates(case.curves(settings, study, device), settings)
    console = paper()
    if len(found) <= plan.MOST_ROWS:
        console.print(plan.table(found))
    else:
        typer.echo("\n".join(plan.lines(found)))
    console.print(plan.summary(found), highlight=False)
    console.print(plan.assumptions(device), highlight=False)
    if json_out is not None:
        _write_json(json_out, settings)


@_command("curves")
def curves_command(config: Config, study: Study = None, device: Device = None) -> None:
    """Print the curves of a config, STUDY/CURVE a line; fast, no framework is loaded."""
    from jetbench.measure import case
    from jetbench.measure import config as configs

    settings = configs.load(config)
    for curve in case.curves(settings, study, _device(settings, device)):
        typer.echo(str(curve))


@_command("coverage")
def coverage_command(
    backends: Annotated[
        list[str] | None, typer.Option("--backend", help="torch, jax or both; by default those that are installed.")
    ] = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", help="By default all of each backend.")] = None,
    functions: Annotated[
        list[str] | None, typer.Option("--functions", help="Names or kinds of functions; by default all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write coverage.csv and coverage.md to this folder.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Print the functions and run nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run a list of functions through every method and tell which are right, unsupported or wrong.

    Each value is compared with one from plain evaluations, without derivative rules. Exits with status 1 if any is
    wrong.
    Example: jetbench coverage --backend jax --methods collapsed folx --functions networks "linear algebra" --out docs
    """
    from jetbench.coverage import command
    from jetbench.measure.progress import Progress, paper

    console = paper()
    if show:
        console.print(command.functions_table(backends))
        return
    with Progress(quiet) as progress:
        found = command.run(backends, methods, functions, out, progress)
    console.print(command.summary_table(found))
    for line in command.notes(found):
        console.print(line, markup=False, highlight=False)
    if any(outcome.status == "wrong" for outcome in found):
        raise typer.Exit(1)


_command("explain")(explain_command)
_command("fuzz")(fuzz_command)


@_command("machine")
def machine_command(
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    name: Annotated[bool, typer.Option("--name", help="Only the name of its results folder; fast.")] = False,
) -> None:
    """Describe this machine as records do: hardware, versions, flags, state of the code. JSON."""
    from jetbench.measure import machine
    from jetbench.measure.case import resolve_device
    from jetbench.measure.supervisor import Setup, Supervisor

    device = resolve_device(device)
    if name:
        typer.echo(machine.name(device))
        return
    with Supervisor(Setup(device=device)) as supervisor:
        typer.echo(json.dumps(supervisor.hello["machine"], indent=2, ensure_ascii=False))


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
        raise ConfigError(f"--again must be never, failed or all; got {again!r}.")
    with Progress(quiet) as progress:
        result = sweep.measure(curves, settings, folder, progress, device, again, minutes, any_gpu)
    if not quiet:
        more = " Run the same command again to go on." if result.left else ""
        typer.echo(f"{folder}: {result}{more}")


def _device(settings: dict[str, Any], device: str | None) -> str:
    from jetbench.measure.case import resolve_device

    return resolve_device(settings.get("device", "auto") if device is None else device)


def _option(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"--option takes name=value; got {text!r}.")
    if name == "dim":
        raise ConfigError(f"The dimension is given by --dim, not by --option; got {text!r}.")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _positive(flag: str, value: float, most: float = 1e6) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{flag} must be above 0 and finite; got {value:g}.")
    if value > most:
        raise ConfigError(f"{flag} must be at most {most:g}; got {value:g}.")


def _write_json(path: Path, content: Any) -> None:
    from jetbench.measure.records import encode

    rows = ",\n".join(encode(record) for record in content) if isinstance(content, list) else None
    text = f"[\n{rows}\n]\n" if rows is not None else json.dumps(content, indent=2) + "\n"
    with replacing(path) as stream:
        stream.write(text.encode())
