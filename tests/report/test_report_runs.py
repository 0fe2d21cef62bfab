"""Comparing two runs: which points belong together, the ratio with its interval, and the verdict."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from jetbench.cli.main import app
from jetbench.errors import JetbenchError
from jetbench.report import runs
from report_records import record, write


def scaled(factor, method="collapsed", value=8, **changes):
    """A record whose times are `factor` times those of the synthetic one."""
    made = record(method=method, value=value, **changes)
    return made | {"time_s": factor * made["time_s"], "time_interval_s": [factor * t for t in made["time_interval_s"]]}


@pytest.fixture
def results(tmp_path):
    write([record(method="collapsed", value=v) for v in (1, 8, 32, 64)], tmp_path, "a")
    second = [scaled(1.001, value=1), scaled(0.5, value=8, device="cuda"), scaled(2.0, value=32)]
    write([*second, scaled(3.0, value=64, stable=False), scaled(1, "taylor", 8)], tmp_path, "b")
    return tmp_path


def test_points_are_matched_and_judged_whatever_the_device(results):
    found = runs.compared(runs.run("a", results), runs.run("b", results))
    points = found.points.set_index(found.points.axis_value.astype(float))
    assert list(points.verdict.loc[[1, 8, 32, 64]]) == ["same", "faster", "slower", "unstable"]
    assert points.ratio.loc[8] == pytest.approx(0.5)
    assert (found.only_first, found.only_second) == (0, 1)


def test_the_interval_adds_both_distances_in_quadrature(results):
    row = runs.compared(runs.run("a", results), runs.run("b", results)).points
    row = row[row.axis_value.astype(float) == 8].iloc[0]
    # Each time is known from 0.98 to 1.03 of its median.
    assert row.low == pytest.approx(0.5 * 2.718281828 ** -((0.0202027**2 + 0.0295588**2) ** 0.5), rel=1e-5)
    assert row.low < row.ratio < row.high


def test_a_small_difference_is_the_same_within_the_share_given(tmp_path):
    narrow = [0.9999, 1.0001]
    for name, factor in (("a", 1.0), ("b", 1.01)):
        made = record(value=8)
        made |= {"time_s": factor, "time_interval_s": [factor * t for t in narrow]}
        write([made], tmp_path, name)
    both = runs.run("a", tmp_path), runs.run("b", tmp_path)
    assert list(runs.compared(*both).points.verdict) == ["same"]
    assert list(runs.compared(*both, within=0.001).points.verdict) == ["slower"]


def test_ratios_to_the_floor_and_to_nested_can_be_compared(results):
    found = runs.compared(runs.run("a", results), runs.run("b", results), "floor").points
    assert list(found.ratio) == pytest.approx([1] * 4)
    assert runs.compared(runs.run("a", results), runs.run("b", results), "nested").points.empty


def test_memory_is_counted_and_never_unstable(tmp_path):
    for name, more in (("a", 1), ("b", 2)):
        made = record(value=8, stable=False)
        memory = made["peak_memory_bytes"]
        write([made | {"peak_memory_bytes": memory | {"nondifferentiable": more * 1000}}], tmp_path, name)
    both = runs.run("a", tmp_path), runs.run("b", tmp_path)
    row = runs.compared(*both, "memory").points.iloc[0]
    assert (row.ratio, row.low, row.high, row.verdict) == (2, 2, 2, "slower")
    assert list(runs.compared(*both, "memory_differentiable").points.verdict) == ["same"]


def test_what_is_wrong_is_told_with_what_there_is(results):
    with pytest.raises(JetbenchError, match="one of a, b"):
        runs.run("c", results)
    with pytest.raises(JetbenchError, match="time, floor, nested"):
        runs.compared(runs.run("a", results), runs.run("b", results), "seconds")
    (results / "empty").mkdir()
    with pytest.raises(JetbenchError, match="no records"):
        runs.run(results / "empty")


def test_the_command_prints_every_point_and_the_sum(results):
    table = results / "points.csv"
    arguments = ["compare-runs", str(results / "a"), "b", "--results", str(results), "--csv", str(table)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert len(table.read_text().splitlines()) == 1 + 4
    for verdict in runs.VERDICTS:
        assert f"1 {verdict}" in done.output
    assert "Only a has 0 further points, only b 1." in " ".join(done.output.split())
