"""Several backends in configs, comparisons and sweeps; and what becomes of one that is not here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetbench.cli.main import app
from jetbench.measure import case, records

RUNNER = CliRunner()
STUDY = {
    "axis": "batch",
    "values": [1, 2],
    "methods": ["nested", "collapsed"],
    "network": {"widths": [4]},
    "cases": [{"operator": "laplacian", "dim": 2}],
}


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("COLUMNS", "200")


def config(**changes):
    return {"preset": "own", "device": "cpu", "budget": {"point_s": 0.05}, "studies": {"batch": {**STUDY, **changes}}}


def curves(**changes):
    """(backend, method, mode) of each curve."""
    found = [curve.points[0].case for curve in case.curves(config(**changes), device="cpu")]
    return [(c.backend, c.method, c.mode) for c in found]


def run(line, status=0):
    result = RUNNER.invoke(app, line.split())
    assert result.exit_code == status, result.output
    return result.output


def test_every_method_of_a_study_runs_in_each_of_its_backends():
    assert curves(backends=["torch", "jax"]) == [
        (backend, method, mode)
        for method in ("nested", "collapsed")
        for backend, mode in (("torch", "eager"), ("jax", "compiled"))
    ]
    assert {backend for backend, _, _ in curves()} == {"torch"}


def test_jax_takes_its_only_mode_whatever_the_study_names():
    found = curves(backends=["torch", "jax"], modes=["eager", "compiled"], methods=["collapsed"])
    assert found == [
        ("torch", "collapsed", "eager"),
        ("torch", "collapsed", "compiled"),
        ("jax", "collapsed", "compiled"),
    ]
    assert curves(backends=["jax"], modes=["eager"], methods=["collapsed"]) == [("jax", "collapsed", "compiled")]


def test_a_method_may_name_the_one_backend_that_it_is_for():
    found = curves(methods=["nested", {"method": "folx", "backend": "jax"}])
    assert found == [("torch", "nested", "eager"), ("jax", "folx", "compiled")]
    cases = [{**STUDY["cases"][0], "backends": ["jax"], "methods": ["jax_jet"]}]
    assert curves(cases=cases) == [("jax", "jax_jet", "compiled")]


def test_backends_are_compared_side_by_side():
    output = run(
        "compare --operator laplacian --dim 2 --widths 4 --batch 2 --backend torch jax --methods nested folx "
        "--budget 0.05 --no-gradient --no-memory --quiet --json out.json"
    )
    found = json.loads(Path("out.json").read_text())
    assert [(r["backend"], r["method"], r["mode"], r["status"]) for r in found] == [
        ("torch", "nested", "eager", "ok"),
        ("jax", "nested", "compiled", "ok"),
        ("jax", "folx", "compiled", "ok"),
    ]
    assert "backend" in output and " in torch" in output and " in jax" in output
    assert {r["network_flops"] for r in found} == {2 * 2 * (2 * 4 + 4)}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--backend tensorflow", ["--backend", "torch, jax"]),
        ("--backend torch jax --methods quick", ["'quick'", "allowed: apolar", "folx"]),
    ],
)
def test_a_wrong_backend_or_method_is_told_in_one_line(flags, words):
    output = run(f"compare --operator laplacian --dim 2 {flags}", 2)
    assert len(output.strip().splitlines()) == 1 and all(word in output for word in words), output


def test_a_backend_that_is_not_here_is_recorded_and_measured_once_it_is(monkeypatch):
    Path("stubs/jax").mkdir(parents=True)
    Path("stubs/jax/__init__.py").write_text("raise ModuleNotFoundError('no jax', name='jax')\n")
    Path("config.json").write_text(json.dumps(config(backends=["jax", "torch"], methods=["collapsed"], values=[1])))
    line = "sweep --config config.json --machine-name here --quiet"
    with monkeypatch.context() as without:
        without.setenv("PYTHONPATH", str(Path("stubs").resolve()))
        run(line)
        (absent,) = records.read("results/here/batch/jax-laplacian-2-exact-collapsed-compiled.jsonl")
        assert absent["status"] == "unsupported" and "pip install 'jetbench[jax]'" in absent["reason"]
        (other,) = records.read("results/here/batch/torch-laplacian-2-exact-collapsed-eager.jsonl")
        assert other["status"] == "ok"
    run(line)
    found = records.read("results/here/batch/jax-laplacian-2-exact-collapsed-compiled.jsonl")
    assert [r["status"] for r in found] == ["unsupported", "ok"]
