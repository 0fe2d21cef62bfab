"""What reports say where records come from several nodes."""

from __future__ import annotations

from typer.testing import CliRunner

from jetbench.cli.report import app
from jetbench.measure import changes
from report_records import record, write


def summary(tmp_path, machine: str) -> str:
    for command in (["collect", tmp_path, "--out", tmp_path], ["summary", "--records", tmp_path / "records.parquet"]):
        machines = ["--machine", machine] if command[0] == "summary" else []
        done = CliRunner().invoke(app, [str(word) for word in [*command, *machines]], env={"COLUMNS": "300"})
        assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def points(*nodes: str) -> list[dict]:
    return [record(value=value, method="nested", node=node) for value, node in enumerate(nodes, 1)]


def test_equal_nodes_are_counted(tmp_path):
    write(points("n1", "n2", "n1"), tmp_path, "cluster")
    output = summary(tmp_path, "cluster")
    assert "Measured on cluster (Synthetic CPU, 2 equal nodes)." in output and "alike" not in output


def test_one_node_is_not_worth_a_word(tmp_path):
    write(points("n1", "n1"), tmp_path, "cluster")
    assert "Measured on cluster (Synthetic CPU)." in summary(tmp_path, "cluster")


def test_nodes_of_another_kind_are_told_and_left_out(tmp_path):
    write(points("n1", "n2"), tmp_path, "cluster")
    write(points("n3", "n3", "n3"), tmp_path, "cluster-cuda-3f9a1c")
    write(points("m"), tmp_path, "clusters")
    output = summary(tmp_path, "cluster")
    told = "Not all of cluster was measured alike: 3 points are kept apart as 'cluster-cuda-3f9a1c' (Synthetic CPU, n3)"
    assert told in output
    assert "'clusters'" not in output and "2 of 2 points measured" in output


def test_workers_of_two_frameworks_describe_one_machine():
    torch = {"id": "a", "backend": {"mkl": True}, "environment": {"OMP_NUM_THREADS": "1"}}
    jax = {"id": "b", "backend": {"platform": "cpu"}, "environment": {"NPROC": "2"}}
    assert changes.sentence({"a": torch}, jax) is None
    assert changes.sentence({"b": jax}, {**jax, "environment": {"NPROC": "3"}}) is not None
