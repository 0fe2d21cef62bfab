"""Curves in bundles, and the jobs that the workflow makes of them for a batch system."""

from __future__ import annotations

import re
import subprocess

import pytest
import stand_in_gpus as gpus

from jetbench.measure import case
from jetbench.measure import config as studies
from jetbench.measure.bundles import bundles, seconds

pytestmark = pytest.mark.long

STUDY = {"values": [1, 2], "methods": ["nested", "collapsed"], "cases": [{"operator": "laplacian", "dim": 2}]}


def test_bundles_keep_order_and_what_is_compared_together():
    cases = [{"operator": "laplacian", "dim": dim} for dim in (2, 3, 4)]
    config = {"budget": {"point_s": 2}, "studies": {"a": {**STUDY, "cases": cases}, "b": STUDY}}
    config["studies"] = {name: {"axis": "batch", **study} for name, study in config["studies"].items()}
    curves = case.curves(config, device="cpu")
    pair = seconds(curves[:2], config) / 60
    expected = {10: [6, 2], 2 * pair: [4, 2, 2], pair: [2, 2, 2, 2], pair / 2: [1] * 8, 0.01: [1] * 8}
    for minutes, sizes in expected.items():
        made = bundles(curves, config, minutes)
        assert [len(bundle) for bundle in made] == sizes
        assert [curve for bundle in made for curve in bundle] == curves


def test_a_job_of_the_profile_is_a_bundle_and_leaves_the_mark_of_each_curve(tmp_path):
    """The same marks as jobs of one curve leave, so that what was measured in one way counts in the other."""

    def planned(*options: str) -> list[list[str]]:
        """The marks that each job leaves."""
        command = ["snakemake", "results/records.parquet", "--dry-run", "--printshellcmds", "--quiet", "host"]
        command += ["--snakefile", str(gpus.ROOT / "Snakefile"), "--directory", str(tmp_path), *options]
        command += ["--config", "preset=smoke", "machine=here"]
        done = subprocess.run(command, env=gpus.environment(tmp_path), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [marks.split() for marks in re.findall(r"jetbench measure .* && touch (.*)", done.stdout + done.stderr)]

    config = studies.load(gpus.ROOT / "workflows" / "config" / "smoke.yaml")
    made = bundles(case.curves(config), config, 30)
    jobs, alone = planned("--profile", str(gpus.ROOT / "profiles" / "slurm")), planned("--cores", "1")
    assert sorted(map(len, jobs)) == sorted(map(len, made))
    assert {len(marks) for marks in alone} == {1}
    assert sorted(mark for marks in jobs for mark in marks) == sorted(mark for marks in alone for mark in marks)
