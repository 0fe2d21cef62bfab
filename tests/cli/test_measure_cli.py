"""What users type and what they get: tables, files, exit statuses, and errors in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jetbench.cli.main import app
from jetbench.cli.options import spread
from jetbench.errors import Interrupted
from jetbench.measure import compare, records, sweep
from jetbench.measure.case import Case, Curve, Point
from jetbench.measure.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
RUNNER = CliRunner()
EXAMPLE = (
    "compare --operator biharmonic --dim 5 --widths 768 768 512 512 --batch 32 --dtype float64 "
    "--methods nested taylor collapsed --mode eager compiled --json out.json"
)
SMALL = "--budget 0.06 --no-gradient --quiet"
CONFIG = {
    "preset": "small",
    "device": "cpu",
    "threads": 1,
    "budget": {"point_s": 0.05, "samples_max": 8},
    "studies": {
        "batch": {
            "axis": "batch",
            "values": [1, 2],
            "modes": ["eager"],
            "methods": ["nested", "collapsed"],
            "network": {"widths": [8, 4]},
            "cases": [{"operator": "laplacian", "dim": 3}],
        },
        "width": {
            "axis": "width",
            "values": [4],
            "methods": ["taylor"],
            "network": {"widths": [8, 4]},
            "batch": 2,
            "cases": [{"operator": "laplacian", "dim": 3}],
        },
    },
}


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("COLUMNS", "200")
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))


def run(line: str, status: int = 0) -> str:
    result = RUNNER.invoke(app, line.split())
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--w 1 2 3", "--w 1 --w 2 --w 3"),
        ("--w 1 --w 2", "--w 1 --w 2"),
        ("--w 1 2 --other 5 --m a b", "--w 1 --w 2 --other 5 --m a --m b"),
        ("--w -1 -2.5e3 --other", "--w -1 --w -2.5e3 --other"),
        ("--w=1 --m a", "--w=1 --m a"),
        ("word --other 5 6", "word --other 5 6"),
        ("--w 1 -- 2 3", "--w 1 -- 2 3"),
        ("--w", "--w"),
    ],
)
def test_options_take_several_values(given, expected):
    assert spread(given.split(), {"--w", "--m"}) == expected.split()


def test_the_example_is_understood(monkeypatch):
    asked = {}

    def measure(points, setup, *_):
        asked.update(points=points, setup=setup)
        return []

    monkeypatch.setattr(compare, "measure", measure)
    monkeypatch.setattr(compare, "table", lambda found: "")
    RUNNER.invoke(app, EXAMPLE.split(), catch_exceptions=False)
    cases = [p.case for p in asked["points"]]
    assert [(c.method, c.mode) for c in cases] == [
        (method, mode) for mode in ("eager", "compiled") for method in ("nested", "taylor", "collapsed")
    ]
    assert {(c.operator, c.dim, c.widths, c.batch, c.dtype) for c in cases} == {
        ("biharmonic", 5, (768, 768, 512, 512), 32, "float64")
    }
    assert asked["setup"].budget["point_s"] == 8


def test_compare_prints_a_table_and_writes_records():
    line = EXAMPLE.replace("768 768 512 512", "8 4").replace("--dim 5", "--dim 2").replace("--batch 32", "--batch 3")
    output = run(f"{line.replace(' compiled', '')} {SMALL}")
    found = json.loads(Path("out.json").read_text())
    assert [(r["method"], r["mode"], r["status"]) for r in found] == [
        (method, "eager", "ok") for method in ("nested", "taylor", "collapsed")
    ]
    for record in found:
        assert record["time_s"] > 0 and record["floor_s"] > 0 and record["time_over_floor"] > 0
        assert len(record["time_samples_s"]) >= 1 and record["flops"] > 0 and record["relative_error"] < 1e-10
        assert {"differentiable", "nondifferentiable"} <= record["peak_memory_bytes"].keys()
        assert record["method"] in output
    assert found[1]["vectors"] == 1 + 4 * 4 and found[2]["vectors"] == 2 + 3 * 4
    for column in ("status", "vectors", "time", "interval", "floor", "nested", "memory", "error"):
        assert column in output


def test_an_interrupted_comparison_keeps_what_it_has(monkeypatch):
    def measure(points, setup, progress, keep):
        keep([{"method": "nested", "time_s": float("nan")}])
        raise Interrupted("Stopped after 1 of 2 measurements.", 130)

    monkeypatch.setattr(compare, "measure", measure)
    output = run("compare --operator laplacian --dim 2 --methods nested taylor --json out.json", 130)
    assert "Stopped after 1 of 2 measurements." in output
    assert json.loads(Path("out.json").read_text()) == [{"method": "nested", "time_s": None}]


@pytest.mark.long
def test_compare_compiled():
    run(
        "compare --operator laplacian --dim 2 --widths 4 --batch 2 --methods collapsed --mode compiled --quiet "
        "--budget 0.06 --json out.json"
    )
    (record,) = json.loads(Path("out.json").read_text())
    assert (record["status"], record["mode"], record["vectors"]) == ("ok", "compiled", 4)
    assert record["relative_error"] < 1e-12 and record["first_call_s"] > record["time_s"]
    assert record["gradient_time_s"] > 0 and record["peak_memory_bytes"]["differentiable"] > 0


def test_compare_of_random_directions_and_what_cannot_do_them():
    common = "--operator laplacian --dim 3 --widths 8 --batch 2 --estimator normal --samples 2"
    output = run(f"compare {common} --methods collapsed forward_laplacian {SMALL} --json out.json")
    found = json.loads(Path("out.json").read_text())
    assert [r["status"] for r in found] == ["ok", "unsupported"]
    assert found[1]["reason"].split(";")[0] in " ".join(output.split())
    run(f"compare {common} --methods forward_laplacian {SMALL}", 1)


def test_compare_both_schemes_where_they_matter(monkeypatch):
    monkeypatch.setattr(compare, "measure", lambda points, *_: asked.extend(points) or [])
    monkeypatch.setattr(compare, "table", lambda found: "")
    asked = []
    run("compare --operator biharmonic --dim 2 --methods taylor --directions polarization griewank", 1)
    assert [p.case.directions for p in asked] == ["polarization", "griewank"]
    asked.clear()
    run("compare --operator laplacian --dim 2 --methods taylor --directions polarization griewank", 1)
    assert [p.case.directions for p in asked] == [None]


def test_an_operator_of_ones_own_with_an_option():
    Path("mine.py").write_text(
        "from jetbench.operators import operator\nfrom jetbench import variables\n\n"
        "@operator\ndef shifted(dim, shift=1.0):\n    '''Shifted Laplacian.'''\n"
        "    xi = variables(dim)\n    return xi @ xi + shift\n"
    )
    run(
        "compare --operator shifted --dim 2 --option shift=2.5 --operators-file mine.py --widths 4 --batch 2 "
        f"--methods collapsed {SMALL} --json out.json"
    )
    (record,) = json.loads(Path("out.json").read_text())
    assert record["status"] == "ok" and record["operator_options"] == {"shift": 2.5}
    assert "shifted" in run("list operators --operators-file mine.py")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compare --operator laplace --dim 3", ["Unknown operator 'laplace'", "laplacian"]),
        ("compare --operator laplacian --dim 3 --methods quick", ["Unknown method 'quick'", "collapsed"]),
        (
            "compare --operator laplacian --dim 3 --mode fast --methods nested",
            ["--mode", "'fast'", "eager, compiled"],
        ),
        ("compare --operator laplacian --dim 3 --dtype float8 --methods nested", ["--dtype", "'float8'", "float64"]),
        ("compare --operator laplacian --dim 3 --network cnn --methods nested", ["'cnn'", "mlp, residual_mlp"]),
        ("compare --operator laplacian --dim 3 --activation step --methods nested", ["'step'", "tanh"]),
        ("compare --operator laplacian --dim 3 --estimator gauss --methods nested", ["'gauss'", "normal"]),
        ("compare --operator laplacian --dim 3 --estimator normal --methods nested", ["normal", "samples"]),
        ("compare --operator laplacian --dim 3 --option rank=2 --methods nested", ["unknown option 'rank'"]),
        ("compare --operator laplacian --dim 3 --option rank --methods nested", ["name=value", "'rank'"]),
        ("compare --operator laplacian --dim 3 --budget 0 --methods nested", ["--budget", "above 0"]),
        ("compare --operator laplacian --dim 3 --device tpu --methods nested", ["'tpu'", "auto, cpu, cuda"]),
        ("compare --operator laplacian --dim 3 --operators-file none.py --methods nested", ["none.py"]),
        ("measure --config none.yaml --study s --curve c --out o", ["none.yaml cannot be read"]),
        ("measure --config config.yaml --study speed --curve c --out o", ["study 'speed'", "batch, width"]),
        ("measure --config config.yaml --study batch --curve c --out o", ["unknown curve 'c'", "torch-laplacian"]),
        ("sweep --config config.yaml --minutes 0", ["--minutes", "above 0"]),
        ("sweep --config config.yaml --again often", ["--again", "never, failed, all"]),
        ("list animals", ["'animals'", "operators, methods"]),
        ("plan --config config.yaml --device tpu", ["'tpu'"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(line, words):
    result = RUNNER.invoke(app, line.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.output and len(result.output.strip().splitlines()) == 1
    assert all(word in result.output for word in words), result.output


def test_the_program_itself_ends_with_status_2_and_no_traceback():
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "jetbench", "compare", "--operator", "laplace", "--dim", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "'laplace'" in done.stderr
    done = subprocess.run([*command[:4], "--dim", "many"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_curve_is_measured_once():
    curves = run("curves --config config.yaml").split()
    assert curves == [
        "batch/torch-laplacian-3-exact-nested-eager",
        "batch/torch-laplacian-3-exact-collapsed-eager",
        "width/torch-laplacian-3-exact-taylor-eager",
    ]
    line = (
        "measure --config config.yaml --study batch --curve torch-laplacian-3-exact-collapsed-eager --out results/here"
    )
    assert "measured now: 2 ok; 0 left" in run(line)
    assert "2 recorded before, measured now: none; 0 left" in run(line)
    found = records.read("results/here/batch/torch-laplacian-3-exact-collapsed-eager.jsonl")
    assert [(r["axis_value"], r["status"], r["threads"]) for r in found] == [(1, "ok", 1), (2, "ok", 1)]
    known = json.loads(Path("results/here/machine.json").read_text())
    assert {r["machine"] for r in found} == known.keys()


def test_a_sweep_measures_everything_that_is_missing():
    run("measure --config config.yaml --study batch --curve torch-laplacian-3-exact-collapsed-eager --out results/m")
    output = run("sweep --config config.yaml --machine-name m --minutes 5")
    assert "5 points: 2 recorded before, measured now: 3 ok; 0 left" in output
    stored = sorted(path.relative_to("results/m").as_posix() for path in Path("results/m").rglob("*.jsonl"))
    assert stored == sorted(f"{curve}.jsonl" for curve in run("curves --config config.yaml").split())


@pytest.mark.parametrize(("turn_s", "workers"), [(300.0, 1), (0.0, 3)])
def test_a_worker_is_kept_from_curve_to_curve_until_its_turn_ends(monkeypatch, turn_s, workers):
    log = Path("calls").resolve()
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    monkeypatch.setattr(sweep, "TURN_S", turn_s)
    of_fake = Case(operator="laplacian", dim=3, method="", backend="fake_backend.measuring", batch=1)
    curves = [Curve("batch", m, (Point(replace(of_fake, method=m), "batch"),)) for m in ("well", "other", "noisy")]
    with Progress(quiet=True) as progress:
        result = sweep.measure(curves, {**CONFIG, "threads": None}, "results/m", progress, "cpu")
    assert result.measured == {"ok": 3} and result.left == 0
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == workers


def test_a_plan_lists_every_point_also_for_a_gpu_that_is_not_here():
    output = run("plan --config config.yaml --device cuda --json config.json")
    assert "5 points in 3 curves" in output and "Assumed" in output
    assert json.loads(Path("config.json").read_text()) == CONFIG
    assert run("curves --config config.json") == run("curves --config config.yaml")


def test_the_projects_gpu_config_can_be_planned():
    output = run(f"plan --config {ROOT / 'workflows/config/gpu.yaml'} --study batch")
    assert "biharmonic D=5" in output and "GiB" in output and "batch=2048" in output


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("operators", ["laplacian", "biharmonic", "rank"]),
        ("methods", ["nested", "collapsed", "version"]),
        ("estimators", ["exact", "normal", "rademacher", "coordinate"]),
        ("networks", ["mlp", "attention", "tanh"]),
        ("studies --config config.yaml", ["batch", "width", "taylor"]),
        ("support", ["laplacian D=3", "normal S=2", "collapsed"]),
    ],
)
def test_lists(topic, words):
    output = run(f"list {topic}")
    assert all(word in output for word in words), output


def test_the_machine_is_described():
    assert run("machine --device cpu --name").startswith("cpu-")
    described = json.loads(run("machine --device cpu"))
    assert described["versions"]["torch"] and described["backend"]["threads"] >= 1
    assert described["name"] == run("machine --device cpu --name").strip()


def test_help_names_every_command():
    output = run("--help")
    for command in ("list", "compare", "measure", "plan", "sweep", "curves", "machine", "report"):
        assert command in output
