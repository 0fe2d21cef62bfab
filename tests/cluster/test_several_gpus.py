"""Several GPUs side by side: which one is taken, that two measurements never share one, and which cores are near."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
from pathlib import Path

import pytest
import stand_in_gpus as gpus
from one_node_slurm import wait_for

from jetbench.measure import case, changes, devices, lock, machine, machine_file, nvidia, sweep
from jetbench.measure.progress import Progress

pytestmark = pytest.mark.long

TWO = [{"name": "A", "uuid": "GPU-a", "bus": "00000000:17:00.0"}, {"name": "B", "uuid": "GPU-b", "bus": "0000:65:00.0"}]


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(nvidia, "gpus", lambda: TWO)
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "found", "measures"),
    [
        (None, ["GPU-a", "GPU-b"], "GPU-a"),
        ("1,0", ["GPU-b", "GPU-a"], "GPU-b"),
        ("GPU-b", ["GPU-b"], "GPU-b"),
        ("", [], "0"),
        ("MIG-7", [], "MIG-7"),
    ],
)
def test_the_gpu_that_measures_is_the_first_visible(monkeypatch, visible, found, measures):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu["uuid"] for gpu in nvidia.visible_gpus()] == found
    assert nvidia.gpu_id() == measures


def _hold(any_gpu, visible, said, release):
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    nvidia.gpus = lambda: TWO
    with devices.hold("cuda", any_gpu, said.put):
        said.put((nvidia.gpu_id(), len(nvidia.visible_gpus()), sorted(os.sched_getaffinity(0))))
        release.wait(30)


@pytest.fixture
def hold():
    """Start a process that holds a GPU; what it says, and an event that ends it."""
    context, started = multiprocessing.get_context("fork"), []

    def start(any_gpu=False, visible=None):
        said, release = context.Queue(), context.Event()
        process = context.Process(target=_hold, args=(any_gpu, visible, said, release))
        process.start()
        started.append((process, release))
        return said, release

    yield start
    for process, release in started:
        release.set()
        process.join(30)


def test_one_gpu_by_two_names_has_one_lock(hold):
    first, release = hold(visible="0")
    assert first.get(timeout=10)[0] == "GPU-a"
    second, _ = hold(visible="GPU-a")
    assert "Waiting for process" in second.get(timeout=10)
    release.set()
    assert second.get(timeout=10)[0] == "GPU-a"


def test_any_gpu_is_the_first_that_is_free(hold):
    first, release = hold(any_gpu=True)
    second, _ = hold(visible="1") if first.get(timeout=10)[0] == "GPU-a" else (None, None)
    assert second.get(timeout=10)[0] == "GPU-b"
    third, _ = hold(any_gpu=True)
    assert "Waiting for process" in third.get(timeout=10)
    release.set()
    name, visible, _ = third.get(timeout=10)
    assert (name, visible) == ("GPU-a", 1), "a process sees only the GPU that it holds"


def test_a_held_gpu_is_undone_afterwards(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    cores = os.sched_getaffinity(0)
    with devices.hold("cuda", any_gpu=True):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1" and os.sched_getaffinity(0) == cores


def system(folder: Path, local: dict[str, str], siblings: dict[int, str]) -> Path:
    """A folder like /sys, with the processors near PCI slots and the threads of each core."""
    for slot, listed in local.items():
        (folder / "bus/pci/devices" / slot).mkdir(parents=True)
        (folder / "bus/pci/devices" / slot / "local_cpulist").write_text(f"{listed}\n")
    for number, listed in siblings.items():
        (folder / f"devices/system/cpu/cpu{number}/topology").mkdir(parents=True)
        (folder / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list").write_text(f"{listed}\n")
    return folder


@pytest.mark.parametrize(
    ("local", "allowed", "parts"),
    [
        ({"0000:17:00.0": "0-1,4-5", "0000:65:00.0": "2-3,6-7"}, range(8), [{0, 1, 4, 5}, {2, 3, 6, 7}]),
        ({"0000:17:00.0": "0-7", "0000:65:00.0": "0-7"}, range(8), [{0, 1, 4, 5}, {2, 3, 6, 7}]),
        ({"0000:17:00.0": "0-7", "0000:65:00.0": "0-7"}, [0, 1, 2], [{0}, {1}]),
        ({"0000:17:00.0": "0-1,4-5", "0000:65:00.0": "2-3,6-7"}, [2, 3], [{2}, {3}]),
        ({}, range(8), [{0, 1, 4, 5}, {2, 3, 6, 7}]),
        ({}, [5], [{5}, {5}]),
    ],
)
def test_cores_near_a_gpu_are_whole_and_its_own(monkeypatch, tmp_path, local, allowed, parts):
    threads = {number: f"{number % 4},{number % 4 + 4}" for number in range(8)}
    monkeypatch.setattr(devices, "SYSTEM", system(tmp_path, local, threads))
    assert [devices.near(gpu, TWO, set(allowed)) for gpu in TWO] == parts


def description(**different) -> dict:
    made = {"id": "1", "name": "cuda-1", "device": "cuda", "cpu": {"model": "X", "cores": 8}, "gpus": [{"name": "A"}]}
    return {**made, **different}


def test_equal_nodes_share_a_folder_and_others_have_one_beside_it(tmp_path):
    folder = tmp_path / "cluster"
    assert machine_file.remember(folder, description()) == folder
    assert machine_file.remember(folder, description(id="2", cpu={"model": "X", "cores": 4})) == folder
    other = description(id="3", name="cuda-3", gpus=[{"name": "B"}])
    assert machine_file.remember(folder, other) == tmp_path / "cluster-cuda-3"
    assert machine_file.remember(folder, other) == tmp_path / "cluster-cuda-3"
    assert {path.name for path in tmp_path.iterdir()} == {"cluster", "cluster-cuda-3", "locks"} - {"locks"}


def test_a_gpus_share_of_its_host_is_no_other_setting():
    whole, share = description(), description(cpu={"model": "X", "cores": 4}, backend={"threads": 4})
    assert changes.setting({**whole, "backend": {"threads": 8}}) == changes.setting(share)
    assert changes.setting(whole) != changes.setting(description(gpus=[{"name": "A", "driver": "2"}]))
    on_processor = [{**each, "device": "cpu"} for each in (whole, share)]
    assert changes.setting(on_processor[0]) != changes.setting(on_processor[1])


def test_the_description_is_the_same_on_each_of_two_equal_gpus(monkeypatch):
    monkeypatch.setattr(nvidia, "gpus", lambda: [{**gpu, "name": "A"} for gpu in TWO])
    found = []
    for visible in ("0", "1", "GPU-a"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found.append(machine.describe("cuda"))
    assert len({each["id"] for each in found}) == 1 and found[0]["gpus"] == [{"name": "A"}]


def test_a_file_has_one_writer_and_may_be_replaced_by_it(tmp_path):
    path = tmp_path / "curve.jsonl"
    with lock.contents(path, pytest.fail):
        assert lock.is_held(path)
        path.with_suffix(".new").write_text("whole\n")
        path.with_suffix(".new").replace(path)
        assert path.read_text() == "whole\n"
    with lock.contents(path, pytest.fail):
        pass
    assert path.read_text() == "whole\n" and not lock.is_held(path)
    with lock.contents(tmp_path / "empty", pytest.fail):
        pass
    assert not (tmp_path / "empty").exists()


STUDY = {"values": [1, 2, 3, 4], "methods": ["nested", "collapsed"], "cases": [{"operator": "laplacian", "dim": 2}]}


def test_a_curve_that_another_run_measures_comes_last(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(gpus.ROOT / "tests"))
    curves = [
        case.Curve("batch", name, (case.Point(case.Case("laplacian", 3, name, "fake_backend.measuring"), "batch"),))
        for name in ("well", "other")
    ]
    config = {"threads": 1, "budget": {"point_s": 0.02, "first_call_s": 30}}
    run = threading.Thread(target=sweep.measure, args=(curves, config, tmp_path / "here", Progress(quiet=True), "cpu"))
    with lock.contents(tmp_path / "here" / curves[0].path):
        run.start()
        wait_for(lambda: gpus.records(tmp_path / "here"), 60, "the other curve is not measured")
        assert [record["method"] for record in gpus.records(tmp_path / "here")] == ["other"]
    run.join(60)
    assert sorted(record["method"] for record in gpus.records(tmp_path / "here")) == ["other", "well"]


def test_the_profile_measures_on_every_gpu_and_never_twice_on_one(tmp_path):
    study = {**STUDY, "methods": ["nested", "taylor", "collapsed"]}
    curves = gpus.write_config(tmp_path / "own.yaml", 1.5, {"batch": study})
    command = ["snakemake", "results/records.parquet", "--directory", tmp_path]
    command += ["--snakefile", gpus.ROOT / "Snakefile", "--profile", gpus.ROOT / "profiles" / "multi-gpu"]
    command += ["--config", f"preset={tmp_path / 'own.yaml'}", "machine=here"]
    environment = gpus.environment(tmp_path)
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = gpus.records(tmp_path / "results")
    gpus.check_complete(found, curves)
    gpus.check_apart(found)
