"""The commands that compare: `compare` measures methods, `recommend` and `compare-runs` read records."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from jetbench.atomic_files import check_writable, replacing
from jetbench.cli.options import (
    Batch,
    Dim,
    MethodsFile,
    Operator,
    OperatorOptions,
    OperatorsFile,
    Quiet,
    Results,
    Widths,
    check_positive,
    named_option,
    write_json,
)
from jetbench.errors import ConfigError, unknown


def compare_command(
    operator: Operator,
    dim: Dim,
    widths: Widths = [768, 768, 512, 512],  # noqa: B006
    batch: Batch = 32,
    dtype: Annotated[
        str, typer.Option("--dtype", help="float64, float32, tf32 (on GPUs), bfloat16 or float16.")
    ] = "float64",
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="Methods to measure (default: all methods of each backend).")
    ] = None,
    backend: Annotated[list[str], typer.Option("--backend", help="torch, jax or both.")] = ["torch"],  # noqa: B006
    mode: Annotated[
        list[str] | None,
        typer.Option("--mode", help="eager, compiled or both (default: eager; for jax compiled)."),
    ] = None,
    network: Annotated[str, typer.Option("--network", help="mlp, residual_mlp, layernorm_mlp or attention.")] = "mlp",
    activation: Annotated[
        str, typer.Option("--activation", help="Activation function; see `jetbench list networks`.")
    ] = "tanh",
    outputs: Annotated[
        int | None,
        typer.Option(
            "--outputs",
            min=1,
            max=2**20,
            help="Number of outputs of the network (default: as many as the operator needs).",
        ),
    ] = None,
    estimator: Annotated[
        str, typer.Option("--estimator", help="Exact, or random directions: normal, rademacher or coordinate.")
    ] = "exact",
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, max=2**31 - 1, help="Number of samples of a random estimator.")
    ] = None,
    directions: Annotated[
        list[str],
        typer.Option(
            "--directions", help="Scheme of the directions for orders above 2: polarization, griewank or both."
        ),
    ] = ["polarization"],  # noqa: B006
    option: OperatorOptions = None,
    operators_file: OperatorsFile = None,
    methods_file: MethodsFile = None,
    budget: Annotated[float, typer.Option("--budget", help="Seconds of sampling for each measurement.")] = 8.0,
    first_call: Annotated[
        float, typer.Option("--first-call", help="Seconds for the rest of a measurement, including compilation.")
    ] = 300.0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Number of CPU threads (default: all cores).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the weights of the network.")] = 0,
    gradient: Annotated[bool, typer.Option(help="Also time the gradient.")] = True,
    memory: Annotated[bool, typer.Option(help="Measure peak memory.")] = True,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the records to this file.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure one operator with several methods and show the results side by side.

    Example: jetbench compare --operator biharmonic --dim 5 --batch 32 --methods nested taylor collapsed
    --mode eager compiled --json out.json
    """
    from jetbench.cli.console import stdout_console
    from jetbench.measure import compare, own_files
    from jetbench.measure.case import check_threads, resolve_device
    from jetbench.measure.progress import Progress
    from jetbench.measure.supervisor import Setup

    check_positive("--budget", budget)
    check_positive("--first-call", first_call)
    check_threads(threads, "--threads")
    own_files.load(operators_file, methods_file)
    common = {
        "operator": operator,
        "dim": dim,
        "operator_options": dict(named_option(text) for text in option or ()),
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
        operators_file=operators_file and str(operators_file),
        methods_file=methods_file and str(methods_file),
    )
    if json_out is not None:
        check_writable(json_out)
    with Progress(quiet) as progress:
        found = compare.measure(points, setup, progress, json_out and functools.partial(write_json, json_out))
    console = stdout_console()
    console.print(compare.table(found))
    for line in compare.notes(found):
        console.print(line, markup=False, highlight=False)
    if all(record["status"] != "ok" for record in found):
        raise typer.Exit(1)


def check_method_command(
    file: Annotated[Path, typer.Argument(help="Python file that defines methods; it is run.")],
    operators_file: OperatorsFile = None,
    quiet: Quiet = False,
) -> None:
    """Check your own methods on every operator: right values and gradients, or a sentence that says why not.

    Values are compared with nested derivatives in float64 on a small network. The exit status is 1 if one is wrong.
    Example: jetbench check-method own_methods.py
    """
    from jetbench import methods
    from jetbench.cli.console import stdout_console
    from jetbench.measure import contract, own_files
    from jetbench.measure.progress import Progress

    own_files.load(operators_file, file)
    own = [(name, backend) for backend, of in methods.REGISTRY.items() for name in of if name not in methods.METHODS]
    console, is_wrong = stdout_console(), False
    for name, backend in own:
        with Progress(quiet) as progress:
            found = []
            for outcome in contract.check(name, backend):
                progress.say(f"{outcome.case.label}: {outcome.status}")
                found.append(outcome)
        for line in contract.summary(name, backend, found):
            console.print(line, markup=False, highlight=False)
        is_wrong |= any(outcome.status == contract.WRONG for outcome in found)
    if is_wrong:
        raise typer.Exit(1)


def recommend_command(
    operator: Operator,
    dim: Dim,
    widths: Widths = [768, 768, 512, 512],  # noqa: B006
    batch: Batch = 32,
    dtype: Annotated[str, typer.Option("--dtype", help="Floating-point type.")] = "float64",
    option: OperatorOptions = None,
    results: Results = Path("results"),
    machine: Annotated[
        str | None, typer.Option("--machine", help="Machine whose records to use (default: the most capable one).")
    ] = None,
) -> None:
    """Rank the methods for an operator and a network, with a rule fitted to the records and its evidence.

    Example: jetbench recommend --operator biharmonic --dim 5 --widths 256 256 --batch 64
    """
    from jetbench.cli.console import stdout_console
    from jetbench.measure.case import DTYPES
    from jetbench.report import collect, recommend
    from jetbench.report.data import best_machine

    if dtype not in DTYPES:
        raise ConfigError(unknown("value", dtype, DTYPES, "--dtype"))
    order, outputs, vectors = recommend.counting(
        operator, {"dim": dim, **dict(named_option(text) for text in option or ())}
    )
    frame = collect.read(results)
    machine = machine or best_machine(frame)
    if machine is None:
        raise ConfigError(f"There are no records in {results}. Measure some with `make` or `jetbench sweep`.")
    frame = collect.one_machine(frame, machine)
    size = recommend.Size(operator, order, dim, tuple(widths), outputs, batch)
    found = recommend.ranking(frame, size, dtype, vectors)
    console = stdout_console()
    console.print(recommend.table(found, size, machine))
    console.print(recommend.advice(found), markup=False, highlight=False)


def compare_runs_command(
    first: Annotated[str, typer.Argument(help="Folder of the results of a machine, or its name in --results.")],
    second: Annotated[str, typer.Argument(help="A second folder; ratios are its costs divided by those of the first.")],
    of: Annotated[
        str,
        typer.Option(
            "--of",
            help="Quantity to compare: time, floor or nested (time relative to it), memory or memory_differentiable.",
        ),
    ] = "time",
    within: Annotated[
        float,
        typer.Option(
            "--within", min=0, max=1e6, help="Largest distance of a ratio from 1 at which it counts as the same."
        ),
    ] = 0.02,
    results: Results = Path("results"),
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the points to this CSV file.")] = None,
) -> None:
    """Compare two runs point by point: ratios with intervals, each same, faster, slower or unstable."""
    from jetbench.cli.console import stdout_console
    from jetbench.report import runs

    names = (Path(first).name, Path(second).name)
    if csv is not None:
        check_writable(csv)
    found = runs.compared(runs.run(first, results), runs.run(second, results), of, within)
    console = stdout_console()
    if csv is not None:
        with replacing(csv) as stream:
            found.points.to_csv(stream, index=False)
    console.print(runs.table(found, names, of))
    console.print(runs.summary(found, names), markup=False, highlight=False)
