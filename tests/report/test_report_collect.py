"""Reading records into one table: types, ratios to nested, machines apart, and what killed runs leave behind."""

from __future__ import annotations

import doctest
import json
import logging
import math
import sys
from pathlib import Path

import pandas as pd
import pytest

from jetbench import operators
from jetbench.errors import JetbenchError
from jetbench.measure import fields, point, records
from jetbench.measure.backends import backend_module
from jetbench.measure.case import Case, Point
from jetbench.methods import METHODS
from jetbench.operators.problem import Problem
from jetbench.report import collect, columns, labels
from jetbench.results import load
from report_records import NESTED, failure, record, sweep, write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def results(tmp_path):
    return write(sweep(), tmp_path / "results")


def test_every_record_becomes_a_row_with_the_documented_columns(results):
    frame = collect.read(results)
    assert len(frame) == len(sweep())
    assert list(frame.columns) == columns.NAMES
    assert set(frame.machine) == {"cpu-test"}
    assert set(frame.hardware) == {"Synthetic CPU"}
    assert frame[["time_s", "vectors", "memory_differentiable_bytes", "flops_over_network"]].notna().all(axis=None)


def test_parquet_and_csv_hold_the_same_table(results, tmp_path):
    frame = collect.read(results)
    parquet, csv, dictionary = collect.write(frame, tmp_path / "out")
    pd.testing.assert_frame_equal(collect.load(parquet), frame)
    pd.testing.assert_frame_equal(collect.load(csv), frame)
    documented = dictionary.read_text(encoding="utf-8")
    assert all(f"`{name}`" in documented for name in frame.columns)


def test_every_column_is_explained_and_numbers_carry_a_unit_where_their_name_says_so():
    assert all(column.meaning for column in columns.COLUMNS)
    assert len(set(columns.NAMES)) == len(columns.NAMES)
    for column in columns.COLUMNS:
        expected = "s" if column.name.endswith("_s") else "B" if column.name.endswith("_bytes") else ""
        assert column.unit == expected, column.name


def test_ratio_to_nested_is_that_of_the_same_place(results):
    frame = collect.read(results)
    taylor = frame[(frame.series == "taylor") & (frame.study == "batch") & (frame.operator == "laplacian")]
    assert taylor.time_over_nested.to_numpy() == pytest.approx(1 / NESTED)
    assert taylor.memory_differentiable_over_nested.to_numpy() == pytest.approx(1 / NESTED, rel=1e-6)
    assert (frame[frame.series == "nested"].time_over_nested == 1).all()
    # The synthetic intervals reach from 0.98 to 1.03 of every time: log distances of both ends add in quadrature.
    factor = math.exp(math.hypot(math.log(0.98), math.log(1.03)))
    assert (taylor.time_over_nested / taylor.time_over_nested_low).to_numpy() == pytest.approx(factor)
    assert (taylor.time_over_nested_high / taylor.time_over_nested).to_numpy() == pytest.approx(factor)


def test_wide_intervals_leave_a_ratio_positive(tmp_path):
    wide = {"time_s": 1.0, "time_interval_s": [0.1, 20.0]}
    frame = collect.read(write([record(method=m, **wide) for m in ("nested", "taylor")], tmp_path))
    taylor = frame[frame.series == "taylor"].iloc[0]
    assert 0 < taylor.time_over_nested_low < 0.1 and taylor.time_over_nested_high > 10


def test_machines_are_never_mixed(tmp_path):
    slow = [record(method=m, time_s=t) for m, t in (("nested", 8.0), ("collapsed", 2.0))]
    fast = [record(method=m, time_s=t, device="cuda") for m, t in (("nested", 0.3), ("collapsed", 0.1))]
    results = write(fast, write(slow, tmp_path, "cpu-a"), "h200")
    frame = collect.read(results).set_index(["machine", "method"])
    assert frame.time_over_nested["cpu-a", "collapsed"] == pytest.approx(1 / 4)
    assert frame.time_over_nested["h200", "collapsed"] == pytest.approx(1 / 3)
    frame = frame.reset_index()
    assert collect.machines(frame) == ["h200", "cpu-a"]
    assert set(collect.one_machine(frame, None).machine) == {"h200"}
    assert set(collect.one_machine(frame, "cpu-a").machine) == {"cpu-a"}
    with pytest.raises(JetbenchError, match="cpu-a"):
        collect.one_machine(frame, "cpu-b")


def test_without_nested_there_is_no_ratio(tmp_path):
    frame = collect.read(write([record(method="collapsed"), record(method="taylor")], tmp_path))
    assert len(frame) == 2
    assert frame.time_over_nested.isna().all()


def test_a_failed_nested_point_gives_no_ratio_and_keeps_its_reason(tmp_path):
    records = [record(method="nested", **failure("oom", "needed 90 GiB")), record(method="collapsed")]
    frame = collect.read(write(records, tmp_path)).set_index("method")
    assert frame.status["nested"] == "oom" and frame.reason["nested"] == "needed 90 GiB"
    assert frame.time_over_nested.isna().all()
    assert frame.time_s.notna()["collapsed"]


def test_a_line_cut_off_by_a_kill_is_skipped_with_a_warning(tmp_path, caplog):
    write([record(value=1), record(value=8)], tmp_path)
    path = next(tmp_path.glob("*/batch/*.jsonl"))
    path.write_text(path.read_text() + '{"key": "abc", "operator": "lapl', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        frame = collect.read(tmp_path)
    assert len(frame) == 2
    assert "skipped 1 line" in caplog.text


def test_of_a_point_measured_again_the_newest_version_and_then_the_last_line_counts(tmp_path):
    records = [
        record(time_s=1.0, method_version=1),
        record(time_s=2.0, method_version=2),
        record(time_s=3.0, method_version=2),
        record(time_s=4.0, method_version=1),
    ]
    assert collect.read(write(records, tmp_path)).time_s.tolist() == [3.0]


def test_only_machines_count(tmp_path):
    write([record()], tmp_path)
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "measurements.csv").write_text("a\n1\n")
    (tmp_path / "records.csv").write_text("a\n1\n")
    assert collect.machines(collect.read(tmp_path)) == ["cpu-test"]


def test_no_records_give_an_empty_table_of_the_same_columns(tmp_path):
    frame = collect.read(tmp_path)
    assert frame.empty and list(frame.columns) == columns.NAMES
    assert collect.machines(frame) == []
    parquet, csv, _ = collect.write(frame, tmp_path / "out")
    assert collect.load(parquet).empty and collect.load(csv).empty
    assert collect.one_machine(frame, None).empty


def test_errors_say_what_to_give(tmp_path):
    with pytest.raises(JetbenchError, match="machine"):
        collect.read(tmp_path / "nowhere")
    with pytest.raises(JetbenchError, match="jetbench report collect"):
        collect.load(tmp_path / "records.parquet")
    (tmp_path / "records.json").write_text("{}")
    with pytest.raises(JetbenchError, match=r"\.parquet or \.csv"):
        collect.load(tmp_path / "records.json")


@pytest.mark.parametrize(
    ("operator", "options", "expected"),
    [
        ("weighted_laplacian", {"rank": 25}, 0.5),
        ("weighted_laplacian", {"rank": 0.5}, 0.5),
        ("weighted_laplacian", {"rank": 1}, 0.02),
        ("weighted_laplacian", {"rank": 1.0}, 1.0),
        ("weighted_laplacian", {}, 1.0),
        ("laplacian", {}, None),
    ],
)
def test_rank_over_dimension(operator, options, expected):
    assert collect.rank_ratio(operator, options, 50) == expected


def test_directions_name_a_series_only_where_they_matter(tmp_path):
    records = [
        record("biharmonic", 5, "collapsed", scheme="griewank"),
        record("biharmonic", 5, "collapsed"),
        record("biharmonic", 5, "nested", directions="griewank"),
        record("biharmonic", 5, "collapsed", study="samples", axis="samples", value=4, directions="griewank"),
    ]
    frame = collect.read(write(records, tmp_path))
    exact = frame[frame.study == "batch"]
    assert sorted(exact.series) == ["collapsed", "collapsed_griewank", "nested"]
    assert frame[frame.study == "samples"].series.tolist() == ["collapsed"]
    assert exact.time_over_nested.notna().all()


@pytest.mark.parametrize("axis", ["batch", "samples", "rank", "width", "depth", "dimension"])
def test_a_case_is_everything_but_the_axis(axis, tmp_path):
    operator = "weighted_laplacian" if axis == "rank" else "laplacian"
    place = {"study": axis, "axis": axis}
    records = [record(operator, method=m, value=v, **place) for m in ("nested", "collapsed") for v in (4, 8)]
    frame = collect.read(write(records, tmp_path))
    assert frame.case.nunique() == 1
    assert frame.time_over_nested.notna().all()


@pytest.mark.parametrize("change", [{"dtype": "float32"}, {"activation": "sin"}, {"outputs": 2}])
def test_what_else_differs_is_another_case(change, tmp_path):
    frame = collect.read(write([record(method="nested", **change), record(method="collapsed")], tmp_path))
    assert frame.case.nunique() == 2
    assert frame[frame.method == "collapsed"].time_over_nested.isna().all()


def test_a_point_whose_worker_died_belongs_to_its_curve(tmp_path):
    blank = record("biharmonic", 5, value=32, **failure("timeout", "stopped after 60 s"))
    blank |= dict.fromkeys(["vectors", "floor_vectors", "order", "threads", "machine", "stable", "network_flops"])
    frame = collect.read(write([record("biharmonic", 5, value=8), blank], tmp_path))
    assert frame.case.nunique() == 1 and frame.series.nunique() == 1
    assert frame.status.tolist() == ["ok", "timeout"]


def test_hardware_is_found_in_descriptions_of_several_shapes():
    assert collect.hardware({"gpu": {"name": "H200"}, "cpu": {"name": "EPYC"}}, "cuda") == "H200"
    assert collect.hardware({"gpu": [{"name": "H200"}], "cpu": "EPYC"}, "cuda:0") == "H200"
    assert collect.hardware({"gpu": None, "cpu": "EPYC"}, "cpu") == "EPYC"
    assert collect.hardware({}, "cpu") is None
    assert collect.hardware(json.loads("null"), "cpu") is None


def test_the_fields_of_a_record_are_those_of_a_case_and_what_is_measured():
    case = Case(operator="laplacian", dim=2, method="nested")
    assert fields.of_part("identity") == list(case.identity)
    assert fields.of_part("place") == list(Point(case).place)
    empty = point.blank(Point(case))
    assert list(empty) == list(fields.FIELDS)
    assert all(isinstance(empty[name], list) for name in fields.of_kind("samples"))


@pytest.mark.parametrize("name", fields.FIELDS)
def test_a_record_whose_value_has_another_type_is_not_a_record(name):
    """Every field is checked: a value of a type that no field of its kind has makes the line worthless."""
    good = record()
    assert records.parse(json.dumps(good)) is not None
    wrong = 1 if fields.FIELDS[name].kind in ("text", "flag", "list", "samples", "interval", "mapping") else "text"
    assert records.parse(json.dumps({**good, name: wrong})) is None


def test_all_committed_records_are_still_read():
    folders = [path for path in (ROOT / "results").iterdir() if (path / "machine.json").is_file()]
    lines = [line for folder in folders for path in folder.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) > 200 and all(records.parse(line) for line in lines)


def test_points_of_the_papers_directions_do_not_replace_others_for_any_method_along_directions(tmp_path):
    methods = [name for name, method in METHODS.items() if method.is_directional]
    assert "collapsed_rewrite" in methods
    schemes = ("polarization", "griewank")
    found = [record("biharmonic", 5, m, scheme=s, directions=s) for m in methods for s in schemes]
    frame = collect.read(write(found, tmp_path))
    assert sorted(frame.series) == sorted([*methods, *(f"{method}_griewank" for method in methods)])


def test_every_method_whose_vectors_depend_on_the_scheme_is_known_to_be_directional():
    """Counted by the methods themselves: two schemes that give different vectors are two series."""
    biharmonic = operators.make("biharmonic", dim=3)
    problems = [Problem(biharmonic, scheme=scheme) for scheme in ("polarization", "griewank")]
    for backend in ("torch", "jax"):
        measuring = backend_module(backend)
        for method in measuring.methods():
            counts = [measuring.vectors(method, problem)[0] for problem in problems]
            assert counts[0] == counts[1] or labels.is_directional(method), method


def test_results_are_loaded_as_a_table_of_all_machines_or_of_one(results):
    frame = load(results)
    assert list(frame.columns) == columns.NAMES and len(frame) == len(sweep())
    pd.testing.assert_frame_equal(load(results / "cpu-test"), frame)
    with pytest.raises(JetbenchError, match="not a folder"):
        load(results / "nowhere")


def test_the_committed_results_are_loaded_with_all_their_machines():
    """Beside the studies, a machine's folder has training.jsonl, which is not a study."""
    machines = {path.parent.name for path in (ROOT / "results").glob("*/machine.json")}
    assert set(load(ROOT / "results").machine) == machines
    assert set(load(ROOT / "results" / "epyc-2core").machine) == {"epyc-2core"}


def test_without_the_extra_loading_results_says_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "jetbench.report.collect", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delattr("jetbench.report.collect")
    with pytest.raises(JetbenchError, match=r"jetbench\[bench\]"):
        load(results)


def test_the_example_of_loading_results_runs():
    from jetbench import results

    found = doctest.testmod(results)
    assert found.attempted > 5 and not found.failed
