"""What is not installed: what can run runs, and one line says what cannot, why, and what to install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_backend.sweeping import curve, measure
from jetbench.cli.main import app
from jetbench.errors import JetbenchError
from jetbench.measure.backends import backend_module

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
SMOKE = str(ROOT / "workflows" / "config" / "smoke.yaml")
COMPARE = ("compare", "--operator", "laplacian", "--dim", "2", "--widths", "4", "--batch", "2", "--quiet")
BRIEF = ("--budget", "0.05", "--no-gradient", "--no-memory")


def jetbench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jetbench", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


def without(*packages: str) -> dict[str, str]:
    folders = [str(Path(__file__).parent / "without"), os.environ["PYTHONPATH"]]
    return {"WITHOUT": ",".join(packages), "PYTHONPATH": os.pathsep.join(folders)}


def the_line(text: str) -> str:
    (line,) = text.strip().splitlines()
    return line


def test_without_torch_what_needs_it_says_so(observed):
    done = jetbench(*COMPARE, "--methods", "collapsed", **without("torch"))
    assert done.returncode == 2 and "pip install 'jetbench[torch]'" in done.stderr
    observed("no torch: what needs it", the_line(done.stderr), "nothing")
    code = "import jetbench.torch"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | without("torch")
    )
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError") and "jetbench[torch]" in done.stderr


def test_without_torch_what_does_not_need_it_runs(observed):
    measure(Path(), [curve("well", [1])])
    assert jetbench("curves", "--config", SMOKE, **without("torch")).stdout
    assert jetbench("report", "collect", ".", "--out", ".", **without("torch")).returncode == 0
    done = jetbench("list", **without("torch"))
    assert done.returncode == 0 and "biharmonic" in done.stdout and "rademacher" in done.stdout
    told = [line for line in done.stdout.splitlines() if "is not installed here" in line]
    assert len(told) == 2
    observed("no torch: what does not need it", f"`jetbench list` shows the rest, and says: {told[0]}", "nothing")


def test_without_jax(monkeypatch, observed):
    """`jetbench.jax` may be there or not: what it needs is missing."""
    for name in [name for name in sys.modules if name.startswith(("jetbench.jax", "jetbench.measure.backends.jax"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(JetbenchError, match="jax") as told:
        backend_module("jax")
    assert backend_module("torch").methods()
    observed("no jax", str(told.value).partition("(")[0].strip(), "nothing; other backends are measured")


def test_without_a_compiler_eager_points_are_measured(tmp_path, observed):
    (tmp_path / "bin").mkdir()
    words = ("--methods", "collapsed", "--mode", "eager", "compiled", "--json", "out.json", *BRIEF)
    done = jetbench(*COMPARE, *words, PATH=str(tmp_path / "bin"), CXX="")
    assert done.returncode == 0, done.stderr
    eager, compiled = json.loads(Path("out.json").read_text())
    assert (eager["status"], compiled["status"]) == ("ok", "error")
    observed("no C++ compiler for torch.compile", compiled["reason"], "compiled points, recorded as `error`")


def test_without_latex_tables_and_figures_are_made(tmp_path, monkeypatch, observed):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("latex") is None
    measure(tmp_path, [curve("well", [1, 2])])
    for words in (
        ("collect", str(tmp_path), "--out", "r"),
        ("table", "status", "--records", "r/records.parquet", "--out", "r/status"),
        ("figure", "batch", "--records", "r/records.parquet", "--out", "r/batch"),
    ):
        result = CliRunner().invoke(app, ["report", *words])
        assert result.exit_code == 0, result.output
    made = sorted(path.name for path in Path("r").iterdir())
    assert {"batch.pdf", "batch.png", "status.csv", "status.md", "status.tex"} <= set(made)
    observed("no LaTeX", "nothing: tables, their .tex files too, and figures are made without it", "nothing")
