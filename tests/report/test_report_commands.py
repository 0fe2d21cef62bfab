"""`jetbench report …` from the outside: files, messages and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from jetbench.cli.report import app
from jetbench.report.registry import FIGURES, TABLES
from report_records import failure, record, sweep, write


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Collected records of one machine, in folder/records.parquet."""
    folder = tmp_path_factory.mktemp("report")
    write(sweep(), folder / "results")
    assert run("collect", folder / "results", "--out", folder).exit_code == 0
    return folder


def test_collect_writes_table_and_dictionary(folder):
    assert {"records.parquet", "records.csv", "COLUMNS.md"} <= {path.name for path in folder.iterdir()}
    result = run("collect", folder / "results", "--out", folder)
    assert f"{len(sweep())} points of 1 machine(s)" in result.output


def test_a_figure_and_a_table_are_written_under_the_name_given(folder, tmp_path):
    result = run("figure", "rank", "--records", folder / "records.parquet", "--out", tmp_path / "figures" / "rank")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["rank.pdf", "rank.png"]
    result = run("table", "main", "--records", folder / "records.csv", "--out", tmp_path / "tables" / "main")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == ["main.csv", "main.md", "main.tex"]


def test_the_summary_compares_and_says_where_everything_is(folder, tmp_path):
    (tmp_path / "figures").mkdir()
    result = run("summary", "--records", folder / "records.parquet", "--figures", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    start = next(i for i, line in enumerate(lines) if "Laplacian, D = 50, batch 64" in line)
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        # (1 ms + 64 x vectors x 20 µs, times 1.2 for nested and 0.8 compiled) over 64 x 52 x 20 µs, the floor
        ["Nested", "101", "1.00", "2.35", "1.00", "1.88"],
        ["Standard", "Taylor", "101", "0.83", "1.96", "0.83", "1.57"],
        ["Collapsed", "Taylor", "52", "0.43", "1.02", "0.43", "0.81"],
    ]
    assert "points measured" in result.output
    assert str(tmp_path / "figures") in result.output.replace("\n", "")


def test_the_summary_tells_of_failed_and_unstable_points(tmp_path):
    records = [record(method="nested", stable=False), record(method="taylor", **failure("oom", "too much"))]
    write(records, tmp_path / "results")
    run("collect", tmp_path / "results", "--out", tmp_path)
    output = run("summary", "--records", tmp_path / "records.parquet").output
    assert "1 of 2 points measured: 1 oom" in output and "1 are unstable" in output


def test_a_figure_without_data_warns_and_succeeds(tmp_path):
    write([record(status="timeout", time_s=None, reason="60 s")], tmp_path / "results")
    run("collect", tmp_path / "results", "--out", tmp_path)
    result = run("figure", "rank", "--records", tmp_path / "records.parquet", "--out", tmp_path / "rank")
    assert result.exit_code == 0
    assert (tmp_path / "rank.pdf").exists() and (tmp_path / "rank.png").exists()
    result = run("table", "rank", "--records", tmp_path / "records.parquet", "--out", tmp_path / "rank")
    assert result.exit_code == 0 and "no data" in result.output
    assert "No data" in (tmp_path / "rank.md").read_text()


def test_several_machines_are_shown_one_at_a_time(tmp_path):
    write([record(method=m, time_s=1.0) for m in ("nested", "collapsed")], tmp_path / "results", "cpu-a")
    write([record(method=m, device="cuda") for m in ("nested", "collapsed")], tmp_path / "results", "h200")
    run("collect", tmp_path / "results", "--out", tmp_path)
    result = run("summary", "--records", tmp_path / "records.parquet")
    assert "never mixed; showing h200" in result.output and "cpu-a" in result.output
    result = run("summary", "--records", tmp_path / "records.parquet", "--machine", "cpu-a")
    assert "never mixed" not in result.output and "Measured on cpu-a" in result.output


def test_a_machine_without_records_warns_and_succeeds(folder, tmp_path):
    records = folder / "records.parquet"
    result = run("figure", "batch", "--records", records, "--machine", "h200", "--out", tmp_path / "batch")
    assert result.exit_code == 0
    assert "no records of the machine h200" in result.output and "cpu-test" in result.output
    assert (tmp_path / "batch.png").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("figure", "bacth", "--out", "x"), "batch, samples"),
        (("table", "mian", "--out", "x"), "main, compiled"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(arguments, told, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, "--records", folder / "records.parquet")
    assert result.exit_code == 2 and told in result.output
    assert not any(tmp_path.iterdir())


def test_missing_records_are_an_error_that_says_how_to_make_them(tmp_path):
    result = run("summary", "--records", tmp_path / "records.parquet")
    assert result.exit_code == 2 and "jetbench report collect" in result.output


def test_list_names_every_table_and_figure():
    result = run("list")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in [*TABLES, *FIGURES])


def test_all_goes_from_results_to_tables_and_figures(tmp_path):
    records = [record(method=m, value=v) for m in ("nested", "taylor", "collapsed") for v in (1, 8, 32)]
    write(records, tmp_path / "results")
    result = run("all", tmp_path / "results", "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    for kind, names, suffixes in (("tables", TABLES, ("csv", "md", "tex")), ("figures", FIGURES, ("pdf", "png"))):
        made = {path.name for path in (tmp_path / "report" / kind / "cpu-test").iterdir()}
        assert made == {f"{name}.{suffix}" for name in names for suffix in suffixes}
    assert "/ nested" in result.output


def test_drawing_one_machine_leaves_the_folders_of_others_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("jetbench.report.registry.FIGURES._entries", {"hilbert": FIGURES["hilbert"]})
    monkeypatch.setattr("jetbench.report.registry.TABLES._entries", {"status": TABLES["status"]})
    write([record(), record(method="nested")], write([record()], tmp_path / "results", "cpu-a"), "cpu-b")
    assert run("collect", tmp_path / "results", "--out", tmp_path).exit_code == 0
    other = tmp_path / "figures" / "cpu-a" / "hilbert.png"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"drawn before")
    done = run("draw", "--records", tmp_path / "records.parquet", "--machine", "cpu-b", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert other.read_bytes() == b"drawn before"
    assert (tmp_path / "figures" / "cpu-b" / "hilbert.pdf").is_file()
    assert sorted(path.name for path in (tmp_path / "tables").rglob("*.*")) == ["status.csv", "status.md", "status.tex"]


def test_the_report_imports_no_framework():
    modules = "jetbench.cli.report, jetbench.report.summary, jetbench.report.registry as registry"
    code = f"import sys, {modules}; list(registry.FIGURES); sys.exit(bool({{'torch', 'jax'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0
