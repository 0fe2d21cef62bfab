"""The study `training`: solutions solve their equations, all methods take one path, every run ends as a record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from jetbench import operators
from jetbench.errors import ConfigError
from jetbench.measure import config as configs
from jetbench.measure import records
from jetbench.torch import linear_operator
from jetbench.training import loop, run
from jetbench.training.problem import EQUATIONS, Training, points, runs

ROOT = Path(__file__).resolve().parents[2]
TINY = {"widths": (6, 6), "points": 6, "boundary_points": 4, "steps": 4, "target": 0.999, "learning_rate": 0.01}


def as_tensors(name):
    """The known solutions as functions of tensors, for differentiation."""
    if name == "poisson":
        return lambda x: torch.sin(torch.pi * x).mean(-1, keepdim=True)
    return lambda x: torch.sin(torch.pi * x).prod(-1, keepdim=True)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_known_solution_has_the_values_that_are_trained_for(name):
    equation = EQUATIONS[name]
    dim = equation.dim or 3
    x = points(Training(name, "nested", dim=dim))["inside"][:5]
    assert equation.solution(x) == pytest.approx(as_tensors(name)(torch.tensor(x)).numpy()[:, 0])
    for operator, value in equation.value.items():
        found = linear_operator(as_tensors(name), operators.make(operator, dim=dim), "taylor")(torch.tensor(x))
        np.testing.assert_allclose(found.detach().numpy()[:, 0], value(x), rtol=1e-9)


def test_points_lie_inside_and_on_the_boundary():
    drawn = points(Training("poisson", "nested", dim=4))
    assert ((drawn["inside"] > 0) & (drawn["inside"] < 1)).all()
    assert np.isin(drawn["boundary"], (0, 1)).any(1).all()
    assert all((points(Training("poisson", "taylor", dim=4))[name] == x).all() for name, x in drawn.items())


@pytest.mark.parametrize("name", EQUATIONS)
def test_all_methods_take_the_same_path(name):
    group = [Training(name, method, dim=2, **TINY) for method in ("nested", "collapsed", "apolar")]
    made = list(loop.train(group))
    assert [record["status"] for record in made] == ["ok"] * 3
    for record in made[1:]:
        assert record["losses"] == pytest.approx(made[0]["losses"], rel=1e-8)
        assert not any("differ" in text for text in record["warnings"])
    assert all(record["step_memory_bytes"] > 0 and record["step_s"] > 0 for record in made)
    assert len({record["key"] for record in made}) == 3


def test_a_run_ends_at_its_target_and_the_time_includes_the_first_step():
    (record,) = loop.train([Training("poisson", "collapsed", dim=2, **{**TINY, "steps": 50})])
    assert record["steps_to_target"] == len(record["losses"]) < 50
    assert record["losses"][-1] <= 0.999 * record["losses"][0] < record["losses"][-2]
    assert record["seconds_to_target"] == pytest.approx(sum(record["seconds"]))


def test_another_path_is_warned_of():
    same = {"status": "ok", "method": "nested", "losses": [1.0, 0.5], "warnings": []}
    other = {"status": "ok", "method": "fast", "losses": [1.0, 0.6], "warnings": []}
    loop._compare_paths([same, other])
    assert "differ from those of nested by up to 2.0e-01" in other["warnings"][0]


def test_a_method_that_fails_does_not_stop_the_others():
    group = [Training("plate", method, **TINY) for method in ("no_such_method", "collapsed")]
    wrong, right = loop.train(group)
    assert wrong["status"] == "error" and "no_such_method" in wrong["reason"]
    assert right["status"] == "ok"


def test_settings_hold_for_all_problems_and_methods_may_be_own(tmp_path):
    problems = [{"problem": "poisson", "dim": 3}, {"problem": "plate", "dim": 2, "methods": ["apolar"], "steps": 7}]
    config = {"training": {"methods": ["nested", "taylor"], "dtype": "float32", "problems": problems}}
    first, second = runs(config, "cpu")
    assert [run.method for run in first] == ["nested", "taylor"] and first[0].dtype == "float32"
    assert [(run.method, run.steps) for run in second] == [("apolar", 7)]
    with pytest.raises(ConfigError, match="plate has dim 2"):
        runs({"training": {"methods": ["nested"], "problems": [{"problem": "plate", "dim": 3}]}}, "cpu")
    with pytest.raises(ConfigError, match="poisson, plate"):
        runs({"training": {"methods": ["nested"], "problems": [{"problem": "wave", "dim": 3}]}}, "cpu")


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu", "paper"])
def test_every_preset_trains(preset):
    groups = runs(configs.load(ROOT / "workflows" / "config" / f"{preset}.yaml"), "cpu")
    assert {group[0].problem for group in groups} == set(EQUATIONS)
    assert all({"nested", "collapsed", "apolar"} <= {run.method for run in group} for group in groups)


def test_runs_are_recorded_once_and_again_when_asked(tmp_path):
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.items()}
    problem = {"problem": "poisson", "dim": 2, **settings}
    config = {"threads": 1, "training": {"methods": ["collapsed"], "problems": [problem]}}
    told = []
    assert run.train(config, tmp_path / "m", "cpu", told.append) == {"ok": 1}
    assert run.train(config, tmp_path / "m", "cpu", told.append) == {}
    (record,) = records.read(tmp_path / "m" / run.FILE)
    assert record["kind"] == "training" and record["machine"] in json.loads(
        (tmp_path / "m" / "machine.json").read_text()
    )
    frame = run.collected(tmp_path)
    assert list(frame.machine) == ["m"] and list(frame.method) == ["collapsed"]


def test_a_process_that_does_not_end_leaves_records_that_say_so(tmp_path):
    config = {
        "threads": 1,
        "training": {"limit_s": 0.05, "methods": ["nested"], "problems": [{"problem": "plate", "dim": 2}]},
    }
    assert run.train(config, tmp_path / "m", "cpu", lambda text: None) == {"timeout": 1}
    (record,) = records.read(tmp_path / "m" / run.FILE)
    assert "0.05 s" in record["reason"]


def test_a_process_that_dies_leaves_records_that_say_how(tmp_path, monkeypatch):
    """Its Python ends in another way before it can train: a module that it needs is broken."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'jetbench.training.worker' in sys.orig_argv:\n    import os\n    os.kill(os.getpid(), 11)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = {"threads": 1, "training": {"methods": ["nested"], "problems": [{"problem": "plate", "dim": 2}]}}
    assert run.train(config, tmp_path / "m", "cpu", lambda text: None) == {"error": 1}
    (record,) = records.read(tmp_path / "m" / run.FILE)
    assert record["reason"] == "The measuring process was ended by SIGSEGV."
