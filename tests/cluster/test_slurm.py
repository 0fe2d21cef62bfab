"""The sweep through profiles/slurm on a Slurm of one node with two stand-in GPUs, with all that may happen to a job."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import one_node_slurm as slurm
import pandas as pd
import pytest
import stand_in_gpus as gpus

pytestmark = pytest.mark.long

# A job is sized for half of its minutes: `long` is one job, `short` one for each operator, of two curves.
MINUTES, POINT_S = 3, 1.0
STUDIES = {
    "long": {"values": list(range(1, 101)), "methods": ["collapsed"], "cases": [{"operator": "laplacian", "dim": 3}]},
    "short": {
        "values": list(range(1, 8)),
        "methods": ["nested", "collapsed"],
        "cases": [{"operator": "laplacian", "dim": 3}, {"operator": "biharmonic", "dim": 2}],
    },
}


@pytest.fixture
def cluster(tmp_path):
    """Environment variables of a cluster. Where there can be none, the test is skipped, in CI it fails."""
    reason = slurm.missing()
    if reason is not None and os.environ.get("JETBENCH_TESTS_NEED_SLURM"):
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(f"not run here: {reason}")
    folder = tmp_path / "slurm"
    folder.mkdir()
    stand_in = gpus.environment(tmp_path)
    with slurm.running(folder) as found:
        path = f"{gpus.STAND_IN}{os.pathsep}{folder}{os.pathsep}{stand_in['PATH']}"
        yield {**stand_in, **found, "PATH": path}


def submit(place: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """What a user does, with what this cluster lacks (memory, accounts) and a quicker look after jobs."""
    command = ["snakemake", "--snakefile", gpus.ROOT / "Snakefile", "--profile", gpus.ROOT / "profiles" / "slurm"]
    command += ["results/records.parquet", "--directory", place]
    command += ["--config", f"preset={place / 'own.yaml'}", "machine=here"]
    command += ["--default-resources", "slurm_partition=main", "slurm_account=none", f"runtime={MINUTES}"]
    command += ["cpus_per_task=1", "mem_mb=100"]
    command += ["--slurm-status-command=squeue", "--slurm-init-seconds-before-status-checks=2"]
    with open(place / "said.log", "a") as said:
        return slurm.start(command, environment, said)


def jobs(cluster: dict[str, str]) -> dict[str, str]:
    """Rule → number of its job, of those that wait or run."""
    shown = slurm.run(cluster, "squeue", "--noheader", "--format=%k %i").splitlines()
    return {comment.removeprefix("rule_"): number for comment, number in map(str.split, shown)}


def test_a_sweep_on_a_cluster_survives_what_happens_to_its_jobs(tmp_path, cluster):
    place = tmp_path / "work"
    place.mkdir()
    curves = gpus.write_config(place / "own.yaml", POINT_S, STUDIES)

    def recorded(study: str) -> int:
        return len(gpus.records(place / "results" / "here" / study))

    def node(state: str) -> None:
        slurm.run(cluster, "scontrol", "update", f"NodeName={slurm.node()}", f"State={state}", "Reason=test")

    # Nothing starts before all jobs wait; then the long one and a short one do, and the other short one waits on.
    node("DRAIN")
    sweep = submit(place, cluster)
    try:
        slurm.wait_for(lambda: len(jobs(cluster)) == 3, 120, "three jobs are not submitted")
        submitted = jobs(cluster)
        assert sorted(submitted) == ["measure_long_0", "measure_short_1", "measure_short_2"]
        too_long, cancelled, waiting = (submitted[rule] for rule in sorted(submitted))
        slurm.run(cluster, "scontrol", "update", f"JobId={waiting}", "Nice=1000")
        node("RESUME")
        slurm.wait_for(lambda: recorded("long") and recorded("short"), 120, "two jobs do not measure")

        slurm.run(cluster, "scontrol", "update", f"JobId={too_long}", "TimeLimit=1")
        node("DRAIN")
        slurm.run(cluster, "scancel", cancelled)
        slurm.wait_for(lambda: slurm.state(cluster, cancelled) == "CANCELLED", 30, "a job is not cancelled")
        before = recorded("long")
        slurm.wait_for(lambda: recorded("long") > before + 1, 60, "a job on a drained node does not go on")
        assert slurm.state(cluster, waiting) == "PENDING", "a drained node takes no further job"
        node("RESUME")

        assert sweep.wait(400) == 1
    finally:
        sweep.kill()
    assert slurm.state(cluster, too_long) == "TIMEOUT"
    assert slurm.state(cluster, waiting) == "COMPLETED"
    assert "running again goes on from there" in (place / "said.log").read_text()
    first = gpus.records(place / "results")
    assert 7 * 2 < len(first) < 100 + 7 * 2 * 2

    # Again, with less time for the rest of the points; so both short bundles are one now.
    gpus.write_config(place / "own.yaml", 0.05, STUDIES)
    assert submit(place, cluster).wait(400) == 0, (place / "said.log").read_text()
    found = gpus.records(place / "results")
    gpus.check_complete(found, curves)
    gpus.check_apart(found)
    assert all(record in found for record in first), "what was measured before is kept as it was"
    assert len(json.loads((place / "results" / "here" / "machine.json").read_text())) == 1
    table = pd.read_parquet(place / "results" / "records.parquet")
    assert len(table) == len(found) and set(table.gpu) == set(gpus.GPUS)
