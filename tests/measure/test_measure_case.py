"""Configs become curves and points; what identifies a point never changes; wrong configs are explained."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from jetbench.errors import ConfigError
from jetbench.measure import case, config
from jetbench.measure.case import Case

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "workflows" / "config").glob("*.yaml"))
SMALL = {
    "preset": "small",
    "device": "cpu",
    "budget": {"point_s": 1},
    "studies": {
        "batch": {
            "axis": "batch",
            "values": [1, 2],
            "modes": ["eager", "compiled"],
            "methods": ["nested", "collapsed", {"method": "collapsed", "directions": "griewank"}],
            "network": {"widths": [8, 4]},
            "cases": [{"operator": "laplacian", "dim": 4}, {"operator": "biharmonic", "dim": 2, "values": [3]}],
        }
    },
}


def with_study(**changes) -> dict:
    changed = copy.deepcopy(SMALL)
    changed["studies"]["batch"].update(changes)
    return changed


def points(given: dict) -> list[case.Point]:
    config.validate(given)
    return [point for curve in case.curves(given) for point in curve.points]


def test_keys_are_what_they_were():
    # Golden: a change of these makes every existing record worthless, so it must be meant.
    first = Case(
        operator="biharmonic",
        dim=5,
        method="collapsed",
        method_version=3,
        directions="griewank",
        operator_options={"b": [1, 2.5], "a": None},
        widths=(8, 4),
    )
    assert first.key == "7cffe305e29f2da3"
    assert Case(operator="laplacian", dim=50, method="nested", method_version=1).key == "9c09c7e6216d4d4a"


@pytest.mark.parametrize(
    "change",
    [
        {"backend": "jax"},
        {"operator": "heat"},
        {"operator_options": {"rank": 2}},
        {"dim": 4},
        {"estimator": "normal", "samples": 2},
        {"method": "taylor"},
        {"method_version": 2},
        {"directions": "griewank"},
        {"network": "attention"},
        {"widths": (8,)},
        {"activation": "sin"},
        {"outputs": 2},
        {"network_seed": 1},
        {"mode": "compiled"},
        {"dtype": "float32"},
        {"batch": 2},
        {"device": "cuda"},
    ],
)
def test_every_field_is_part_of_the_identity(change):
    plain = Case(operator="laplacian", dim=3, method="collapsed", method_version=1)
    assert replace(plain, **change).key != plain.key
    assert len(plain.key) == 16 and set(plain.key) <= set("0123456789abcdef")


def test_a_case_survives_its_record():
    original = Case(operator="laplacian", dim=3, method="taylor", operator_options={"rank": 2}, widths=(4, 5))
    stored = json.loads(json.dumps({"key": original.key, **original.identity, "status": "ok"}))
    assert Case.from_record(stored) == original and Case.from_record(stored).key == original.key


def test_curves_of_a_small_config():
    found = case.curves(SMALL)
    names = [curve.name for curve in found]
    assert names == [
        "torch-laplacian-4-exact-nested-eager",
        "torch-laplacian-4-exact-nested-compiled",
        "torch-laplacian-4-exact-collapsed-eager",
        "torch-laplacian-4-exact-collapsed-compiled",
        "torch-biharmonic-2-exact-nested-eager",
        "torch-biharmonic-2-exact-nested-compiled",
        "torch-biharmonic-2-exact-collapsed-eager",
        "torch-biharmonic-2-exact-collapsed-compiled",
        "torch-biharmonic-2-exact-collapsed_griewank-eager",
        "torch-biharmonic-2-exact-collapsed_griewank-compiled",
    ], "one curve where the scheme cannot matter, two where it does"
    assert [p.axis_value for p in found[0].points] == [1, 2] and found[0].path == f"batch/{names[0]}.jsonl"
    assert {p.case.directions for p in found[0].points} == {None}
    assert {p.case.directions for p in found[6].points} == {"polarization"}
    assert {p.case.batch for p in found[4].points} == {3}, "a case's values replace the study's"
    assert found[0].points[0].case.widths == (8, 4) and found[0].points[0].case.activation == "tanh"


@pytest.mark.parametrize(
    ("axis", "values", "field", "expected"),
    [
        ("width", [16, 32], "widths", [(16, 16), (32, 32)]),
        ("depth", [1, 3], "widths", [(8,), (8, 8, 8)]),
        ("dimension", [2, 5], "dim", [2, 5]),
        ("batch", [7], "batch", [7]),
    ],
)
def test_what_an_axis_varies(axis, values, field, expected):
    given = with_study(axis=axis, values=values, methods=["taylor"], modes=["eager"], batch=9)
    given["studies"]["batch"]["cases"] = given["studies"]["batch"]["cases"][:1]
    found = points(given)
    assert [getattr(p.case, field) for p in found] == expected
    assert [p.axis_value for p in found] == values
    assert all(p.case.batch == (values[0] if axis == "batch" else 9) for p in found)


def test_ranks_are_counts_or_shares():
    cases = [{"operator": "weighted_laplacian", "dim": 10}]
    found = points(with_study(axis="rank", values=[2, 0.25, 1.0], methods=["taylor"], modes=["eager"], cases=cases))
    assert [p.case.operator_options for p in found] == [{"rank": 2}, {"rank": 2}, {"rank": 10}]
    assert [p.axis_value for p in found] == [2, 2, 10]


def test_samples_are_an_axis_or_a_setting():
    study = {"methods": ["taylor"], "modes": ["eager"], "values": [1, 5]}
    along = points(with_study(axis="samples", estimator={"kind": "normal"}, **study))
    assert {(p.case.estimator, p.case.samples) for p in along} == {("normal", 1), ("normal", 5), ("normal", 3)}
    assert {p.case.directions for p in along} == {None}, "drawn directions need no scheme"
    fixed = points(with_study(axis="batch", estimator={"kind": "rademacher", "samples": 4}, **study))
    assert {p.case.samples for p in fixed} == {4}
    with pytest.raises(ConfigError, match="the axis samples needs a random estimator"):
        points(with_study(axis="samples", **study))
    with pytest.raises(ConfigError, match="the estimator normal needs `samples`"):
        points(with_study(axis="batch", estimator={"kind": "normal"}, **study))


def test_cases_that_differ_have_names_that_differ():
    cases = [
        {"operator": "weighted_laplacian", "dim": 4, "options": {"rank": 1}},
        {"operator": "weighted_laplacian", "dim": 4, "options": {"rank": 2}},
        {"operator": "laplacian", "dim": 4},
        {"operator": "laplacian", "dim": 4, "dtype": "float32"},
        {"operator": "laplacian", "dim": 4},
    ]
    found = case.curves(with_study(cases=cases, methods=["taylor"], modes=["eager"]))
    assert [curve.name for curve in found] == [
        "torch-weighted_laplacian-4-rank_1-exact-taylor-eager",
        "torch-weighted_laplacian-4-rank_2-exact-taylor-eager",
        "torch-laplacian-4-exact-taylor-eager",
        "torch-laplacian-4-exact-taylor-eager-3",
    ], "and a case given twice is one curve"


def test_an_operator_for_several_components_gets_a_network_that_has_them():
    cases = [{"operator": "linear_elasticity", "dim": 3}]
    assert {p.case.outputs for p in points(with_study(cases=cases))} == {3}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_projects_configs_expand(path):
    settings = config.load(path)
    found = case.curves(settings, device="cpu")
    names = [str(curve) for curve in found]
    assert len(names) == len(set(names)) and all(curve.points for curve in found)
    for curve in found:
        assert len({p.case.key for p in curve.points}) == len(curve.points)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budgets": {}}, ["unknown key 'budgets'", "budget", "studies"]),
        ({"budget": {"point_s": 1, "point": 2}}, ["budget: unknown key 'point'", "point_s", "first_call_s"]),
        ({"budget": {"point_s": "long"}}, ["budget.point_s: 'long'", "number"]),
        ({"device": "tpu"}, ["device: unknown value 'tpu'", "auto, cpu, cuda"]),
        ({"studies": {"batch": {"axis": "batch"}}}, ["studies.batch", "'values' is missing"]),
        ({"studies": []}, ["studies"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_allowed(change, words):
    with pytest.raises(ConfigError) as error:
        config.validate({**SMALL, **change})
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"axis": "colour"},
            ["studies.batch.axis: unknown value 'colour'", "batch, samples, rank, width, depth, dimension"],
        ),
        ({"modes": ["eager", "fast"]}, ["studies.batch.modes[1]: unknown value 'fast'", "eager, compiled"]),
        (
            {"estimator": {"kind": "gauss"}},
            ["estimator.kind: unknown value 'gauss'", "exact, normal, rademacher"],
        ),
        ({"network": {"kind": "cnn"}}, ["studies.batch.network.kind: unknown value 'cnn'", "mlp, residual_mlp"]),
        ({"network": {"width": [3]}}, ["studies.batch.network: unknown key 'width'", "widths"]),
        ({"methods": [{"method": "taylor", "scheme": "griewank"}]}, ["methods[0]: unknown key 'scheme'", "directions"]),
        ({"methods": [3]}, ["methods[0]: 3", "string"]),
        ({"cases": [{"operator": "laplacian", "dim": 0}]}, ["cases[0].dim", "0", "at least 1"]),
        ({"dtype": "float8"}, ["dtype: unknown value 'float8'", "float64, float32"]),
    ],
)
def test_a_wrong_study_is_explained(change, words):
    with pytest.raises(ConfigError) as error:
        config.validate(with_study(**change))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"operator": "laplace", "dim": 3}, ["cases[0]", "'laplace'", "laplacian"]),
        ({"operator": "laplacian", "dim": 3, "options": {"rank": 2}}, ["cases[0]", "unknown option 'rank'", "dim"]),
        ({"operator": "heat", "dim": 1}, ["cases[0]", "at least 2", "1"]),
    ],
)
def test_a_wrong_operator_is_explained(wrong, words):
    with pytest.raises(ConfigError) as error:
        points(with_study(cases=[wrong]))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_unknown_studies_and_curves_are_named():
    with pytest.raises(ConfigError, match="Unknown study 'width'; allowed: batch"):
        case.curves(SMALL, "width")
    with pytest.raises(ConfigError, match="Did you mean 'torch-laplacian-4-exact-nested-eager"):
        case.curve(SMALL, "batch", "torch-laplacian-4-nested-eager")


def test_files_in_yaml_and_json(tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "a.json").write_text(json.dumps(SMALL))
    assert config.load(tmp_path / "a.yaml") == config.load(tmp_path / "a.json") == SMALL
    (tmp_path / "b.yaml").write_text("studies: [")
    (tmp_path / "b.json").write_text("{")
    for name, words in (("b.yaml", "is not YAML"), ("b.json", "is not JSON"), ("c.yaml", "cannot be read")):
        with pytest.raises(ConfigError, match=words):
            config.load(tmp_path / name)


def test_a_users_operators_file_beside_the_config(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from jetbench.operators import operator\nfrom jetbench import variables\n\n"
        "@operator\ndef my_third_derivative(dim):\n    '''u_000.'''\n    return variables(dim)[0] ** 3\n"
    )
    cases = [{"operator": "my_third_derivative", "dim": 2}]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**with_study(cases=cases), "operators_file": "mine.py"}))
    settings = config.load(tmp_path / "a.yaml")
    assert settings["operators_file"] == str(tmp_path / "mine.py")
    assert {p.case.directions for p in points(settings)} == {"polarization", "griewank"}
    (tmp_path / "mine.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=r"mine\.py cannot be used: ZeroDivisionError"):
        case.curves(settings)


def test_no_framework_is_imported_for_curves():
    script = (
        "import sys; from jetbench.measure import case, config; "
        f"case.curves(config.load({str(CONFIGS[0])!r}), device='cpu'); import jetbench.cli.main; "
        "print([m for m in ('torch', 'jax', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
