"""The project around the code: pins, presets, the workflow's plan, published results, what may import what."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from jetbench import networks
from jetbench.errors import ConfigError
from jetbench.measure import case
from jetbench.measure import config as studies
from jetbench.measure.backends import BACKENDS
from jetbench.operators import estimators
from jetbench.report.registry import FIGURES, TABLES
from jetbench.report.reproduction.published import JAX

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ("smoke", "cpu", "gpu", "paper")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RESULTS = (ROOT / "docs" / "results.md").read_text()
SCHEMA = json.loads((ROOT / "workflows" / "schemas" / "config.schema.json").read_text())


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with the tests' own Python first on the path; its output as text, whatever its exit status."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path, **environment}
    )


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def direct_requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for text in [*PROJECT["dependencies"], *(t for extra in extras for t in extra)]]


# --- the environment


def test_pins_are_plain_versions():
    for name, version in pins().items():
        assert not Version(version).local, f"{name}: {version} exists only in one index"
    assert pins()["torch"] == "2.13.0"


def test_pins_satisfy_pyproject():
    for requirement in direct_requirements():
        assert Version(pins()[canonicalize_name(requirement.name)]) in requirement.specifier, requirement


def test_everything_installed_for_the_project_is_pinned():
    """Transitive packages included, following the metadata of what is installed here."""
    todo, seen = list(direct_requirements()), set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, *requirement.extras) in seen or name.startswith(("nvidia-cu", "nvidia-nv", "triton", "cuda-")):
            continue
        seen.add((name, *requirement.extras))
        assert name in pins(), f"{name} is not in constraints.txt"
        try:
            further = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here, such as gpu
        for text in further:
            wanted = Requirement(text)
            extras = requirement.extras or {""}
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(wanted)
    assert len(seen) > len(direct_requirements())


def test_conda_environment_is_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip = environment["dependencies"][0], environment["dependencies"][-1]["pip"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert Version(python.removeprefix("python=")) >= Version(lowest)
    assert pip[0] == "--constraint constraints.txt"
    assert pip[-1] == "--editable ."
    listed = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in map(Requirement, pip[1:-1])}
    expected = {canonicalize_name(r.name) for r in direct_requirements()}
    assert listed == {name: version for name, version in pins().items() if name in expected}


def test_citation_names_the_software_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [author["family-names"] for author in citation["references"][0]["authors"]] == [
        "Dangel",
        "Siebert",
        "Zeinhofer",
        "Walther",
    ]


# --- presets


def test_schema_is_a_schema_and_lies_in_the_package():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads((ROOT / "src" / "jetbench" / "schemas" / "config.schema.json").read_text()) == SCHEMA


def test_schema_allows_what_the_code_has():
    network = SCHEMA["$defs"]["network"]["properties"]
    assert tuple(network["activation"]["enum"]) == networks.ACTIVATIONS
    assert tuple(network["kind"]["enum"]) == networks.KINDS
    assert tuple(SCHEMA["$defs"]["axis"]["enum"]) == case.AXES
    assert tuple(SCHEMA["$defs"]["backend"]["enum"]) == BACKENDS
    assert set(SCHEMA["$defs"]["budget"]["properties"]) == set(studies.BUDGET)
    kinds = SCHEMA["$defs"]["estimator"]["oneOf"][1]["properties"]["kind"]["enum"]
    assert tuple(kinds) == estimators.KINDS


def test_schema_is_strict_everywhere():
    def objects(node):
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object":
                yield node
            for child in node.values():
                yield from objects(child)
        elif isinstance(node, list):
            for child in node:
                yield from objects(child)

    for node in objects(SCHEMA):
        assert node.get("additionalProperties") is False, node


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_valid_and_complete(preset):
    from jetbench import jax, torch

    config = studies.load(ROOT / "workflows" / "config" / f"{preset}.yaml")
    assert config["preset"] == preset
    expected = {"batch", "samples", "rank"} | (set() if preset == "paper" else {"width", "depth", "dimension"})
    assert expected <= set(config["studies"])
    curves = case.curves(config, device="cpu")
    used = {(point.case.backend, point.case.method) for curve in curves for point in curve.points}
    assert used <= {(name, method) for name, of in (("torch", torch), ("jax", jax)) for method in of.METHODS}
    assert {("jax", "jax_jet"), ("jax", "folx"), ("jax", "taylor")} <= used
    names = [(curve.study, curve.name) for curve in curves]
    assert len(set(names)) == len(names)
    assert {mode for curve in curves for mode in [curve.points[0].case.mode]} == {"eager", "compiled"}


def h200(operator: str, method: str, backend: str, mode: str, batch: int) -> dict:
    """The record of a float64 point of the study batch, from the results that docs/results.md shows."""
    (path,) = (ROOT / "results/h200/batch").glob(f"{backend}-{operator}-*-exact-{method}-{mode}.jsonl")
    (found,) = [r for r in map(json.loads, path.read_text().splitlines()) if r["batch"] == batch]
    assert found["status"] == "ok" and found["dtype"] == "float64"
    return found


@pytest.mark.parametrize(
    ("operator", "row", "backend", "mode", "batch", "methods"),
    [
        ("laplacian", "PyTorch eager", "torch", "eager", 2048, ["nested", "taylor", "collapsed", "stock_rewrite"]),
        ("laplacian", "PyTorch compiled", "torch", "compiled", 2048, ["nested", "taylor", "collapsed"]),
        *(
            (
                "laplacian",
                row,
                "jax",
                "compiled",
                2048,
                ["nested", "taylor", "collapsed", "stock_rewrite", "folx", "jax_jet"],
            )
            for row in ("JAX", "JAX, floors")
        ),
        (
            *("biharmonic", "PyTorch eager, batch 1024", "torch", "eager", 1024),
            ["nested", "taylor_griewank", "", "", "collapsed", "apolar"],
        ),
        (
            *("biharmonic", "JAX, batch 512", "jax", "compiled", 512),
            ["nested", "", "jax_jet", "folx", "collapsed", "apolar"],
        ),
    ],
)
def test_the_page_of_results_shows_what_was_measured_on_the_gpu(operator, row, backend, mode, batch, methods):
    (line,) = [line for line in RESULTS.splitlines() if line.startswith(f"| {row} |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    found = [h200(operator, method, backend, mode, batch) if method else None for method in methods]
    told = [
        "" if r is None else f"{r['time_over_floor']:.2f}" if "floors" in row else f"{1e3 * r['time_s']:.1f} ms"
        for r in found
    ]
    assert cells == told + [""] * (6 - len(told))


@pytest.mark.parametrize(
    ("preset", "backend", "modes"),
    [("gpu", "torch", [False]), ("paper", "torch", [False, True]), ("paper", "jax", [True])],
)
def test_published_points_are_measured(preset, backend, modes):
    """Every published point has a point of the same backend, operator, size, method, directions and mode."""
    config = studies.load(ROOT / "workflows" / "config" / f"{preset}.yaml")
    planned = {
        (c.operator, c.operator_options.get("rank", c.dim), c.estimator, c.samples, c.method, scheme, c.mode, c.batch)
        for curve in case.curves(config, device="cpu")
        for c in (point.case for point in curve.points)
        for scheme in [c.directions if c.backend == "torch" and c.method != "nested" else None]
        if c.widths == (768, 768, 512, 512) and c.dtype == "float64" and c.backend == backend
    }

    def is_exact_biharmonic(row):
        return (row.operator, row.mode) == ("biharmonic", "exact")

    frame = pd.read_csv(ROOT / "results" / "published" / "measurements.csv")
    frame = frame[(frame.framework == backend) & frame.compiled.isin(modes)]
    published = {
        (
            row.operator,
            int((1.0 if pd.isna(row.rank_ratio) else row.rank_ratio) * row.dim + 1e-9),
            "exact" if row.mode == "exact" else row.distribution,
            None if pd.isna(row.num_samples) else int(row.num_samples),
            JAX.get(row.method, row.method) if backend == "jax" else row.method,
            "griewank" if is_exact_biharmonic(row) and backend == "torch" and row.method != "nested" else None,
            "compiled" if row.compiled else "eager",
            int(row.batch_size),
        )
        for row in frame.itertuples()
    }
    assert len(published) >= 100 * len(modes)
    assert not published - planned


@pytest.mark.parametrize(
    ("change", "named", "allowed"),
    [
        ({"presets": "cpu"}, "presets", "preset"),
        ({"device": "tpu"}, "tpu", "cuda"),
        ({"studies": {"batch": {"backends": ["tensorflow"]}}}, "tensorflow", "jax"),
        ({"budget": {"point_s": 1, "seconds": 2}}, "seconds", "first_call_s"),
        ({"studies": {"batch": {"axis": "bach"}}}, "bach", "batch"),
        ({"studies": {"batch": {"modes": ["fast"]}}}, "fast", "compiled"),
        ({"studies": {"batch": {"dtype": "float23"}}}, "float23", "float32"),
        ({"studies": {"batch": {"values": [0.5]}}}, "0.5", "integer"),
        ({"studies": {"batch": {"network": {"layers": 3}}}}, "layers", "widths"),
        ({"studies": {"batch": {"cases": [{"operator": "laplacian", "dimension": 5}]}}}, "dimension", "dim"),
        ({"studies": {"batch": {"cases": [{"operator": "laplacan", "dim": 5}]}}}, "laplacan", "laplacian"),
    ],
)
def test_wrong_config_is_told_with_what_is_allowed(tmp_path, change, named, allowed):
    study = {"axis": "batch", "values": [1], "methods": ["nested"], "cases": [{"operator": "laplacian", "dim": 2}]}
    config = {"preset": "own", "device": "cpu", "budget": {"point_s": 1}, "studies": {"batch": study}}
    if "studies" in change:
        config["studies"]["batch"] |= change["studies"]["batch"]
    else:
        config |= change
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError) as told:
        case.curves(studies.load(path), device="cpu")
    assert named in str(told.value)
    assert allowed in str(told.value)


# --- workflow


def dry_run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("snakemake", "--quiet", "rules", "--dry-run", "--directory", str(tmp_path), "--cores", "1", *arguments)


def planned_jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(\w+)\s+(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_workflow_plans_every_curve_table_and_figure(tmp_path):
    jobs = planned_jobs(dry_run(tmp_path, "--config", "preset=smoke"))
    config = studies.load(ROOT / "workflows" / "config" / "smoke.yaml")
    assert jobs["measure"] == len(case.curves(config))
    assert jobs["table"] == len(TABLES)
    assert jobs["figure"] == len(FIGURES)


def test_a_figure_alone_measures_only_its_axis(tmp_path):
    jobs = planned_jobs(dry_run(tmp_path, "figure_width", "--config", "preset=smoke"))
    config = studies.load(ROOT / "workflows" / "config" / "smoke.yaml")
    assert jobs["measure"] == len(case.curves(config, study="width"))
    assert jobs["figure"] == 1


def test_without_measuring_nothing_is_measured(tmp_path):
    jobs = planned_jobs(dry_run(tmp_path, "--config", "preset=smoke", "measure=false"))
    assert "measure" not in jobs
    assert jobs["figure"] == len(FIGURES)


@pytest.mark.parametrize(
    ("setting", "allowed"), [("preset=huge", "smoke, cpu, gpu, paper"), ("presets=cpu", "preset, machine, measure")]
)
def test_wrong_setting_is_told_with_what_is_allowed(tmp_path, setting, allowed):
    done = dry_run(tmp_path, "--config", setting)
    assert done.returncode != 0
    assert allowed in done.stdout + done.stderr


def test_make_tells_which_python_it_needs(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = run("make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_make_takes_the_newest_python_for_which_there_are_wheels(tmp_path):
    """Pythons that only write their names: the newest has no wheels, and another is too old for its name."""
    made = """#!/bin/sh
case "$*" in
    "-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python";;
    *--dry-run*) exit {without};;
    *install*) mkdir -p done; echo {name} > done/name;;
    *ensurepip*) exit {old};;
esac
"""
    for name, without, old in (("3.14", 1, 0), ("3.13", 0, 1), ("3.12", 0, 0), ("3.11", 0, 0)):
        path = tmp_path / "bin" / f"python{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(made.format(name=name, without=without, old=old))
        path.chmod(0o755)
    makefile = str(ROOT / "Makefile")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    done = run(
        *("make", "-f", makefile, "setup", f"VENV={tmp_path / 'venv'}"),
        cwd=tmp_path,
        PATH=f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done" / "name").read_text().strip() == "3.12"
    assert "python3.14 lacks wheels" in done.stderr


def test_make_help_lists_every_target():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make (\w+) ", run("make", "help").stdout)) == targets


# --- what may import what


@pytest.mark.parametrize(
    "module",
    [
        "symbol",
        "operators",
        "networks",
        "measure.case",
        "measure.config",
        "report",
        "report.figures",
        "report.findings",
        "report.reproduction",
        "report.tables",
        "cli.report",
        "cli.main",
    ],
)
def test_neutral_part_imports_no_framework(module):
    code = (
        "import importlib, pkgutil, sys\n"
        f"module = importlib.import_module('jetbench.{module}')\n"
        "for info in pkgutil.iter_modules(getattr(module, '__path__', [])):\n"
        "    importlib.import_module(f'{module.__name__}.{info.name}')\n"
        "print(*{'torch', 'jax'} & set(sys.modules))\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_files_are_named_after_what_they_hold():
    names = {"utils", "util", "helpers", "helper", "common", "misc"}
    folders = (ROOT / "src", ROOT / "tests", ROOT / "workflows")
    assert not [path for folder in folders for path in folder.rglob("*.py") if path.stem in names]
