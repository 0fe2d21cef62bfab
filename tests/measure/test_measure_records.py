"""Records survive what a kill can do to a file, and tell which points are still to do."""

from __future__ import annotations

import json
import multiprocessing
import sys
import types
from dataclasses import replace

import pytest

from jetbench.measure import lock, machine, machine_file, nvidia, records
from jetbench.measure.case import Case, Point

CASE = Case(operator="laplacian", dim=3, method="collapsed", method_version=1)


def point(batch: int = 1, version: int | None = 1) -> Point:
    return Point(replace(CASE, batch=batch, method_version=version), "batch", "batch", batch)


def record(batch: int = 1, status: str = "ok", **more) -> dict:
    return {"key": point(batch).case.key, "batch": batch, "status": status, **more}


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "deep" / "curve.jsonl"
    assert records.read(path) == []
    records.append(path, record(1, reason="größer — ok"))
    records.append(path, record(2))
    assert records.read(path) == [record(1, reason="größer — ok"), record(2)]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_line_cut_off_by_a_kill_is_passed_over_and_then_removed(tmp_path, cut):
    path = tmp_path / "curve.jsonl"
    records.append(path, record(1))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert records.read(path) == [record(1)]
    records.append(path, record(2))
    assert [json.loads(line)["batch"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_whole_record_without_its_line_end_is_kept(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text(json.dumps(record(1)))
    records.append(path, record(2))
    assert [r["batch"] for r in records.read(path)] == [1, 2]


def test_of_duplicates_the_last_counts(tmp_path):
    path = tmp_path / "curve.jsonl"
    for entry in (record(1, "error"), record(2), record(1, "ok", time_s=1.0)):
        records.append(path, entry)
    assert records.read(path) == [record(1, "ok", time_s=1.0), record(2)]


def test_lines_that_are_no_records_are_passed_over(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_bytes(b'[1]\n{"key": 1}\n{"key": "a", "status": "fine"}\n\xff\xfe\n\n')
    records.append(path, record(1))
    assert records.read(path) == [record(1)]


def test_numbers_that_json_cannot_hold_become_null():
    assert json.loads(records.encode({"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)})) == {
        "a": None,
        "b": [None, 1.5],
        "c": [1],
    }


def test_remaining_points():
    points = [point(batch, None) for batch in (1, 2, 3)]
    found = [record(1), record(2, "oom")]
    versions = {"collapsed": 1}
    assert records.remaining(points, found, versions) == [point(3)]
    assert records.remaining(points, found, versions, "failed") == [point(2), point(3)]
    assert len(records.remaining(points, found, versions, "all")) == 3
    assert records.remaining(points, found, {"collapsed": 2}) == [point(b, 2) for b in (1, 2, 3)]
    assert records.remaining(points, found, {}) == points, "without a known version everything is measured"
    with pytest.raises(ValueError, match="allowed: never, failed, all"):
        records.remaining(points, found, versions, "sometimes")


def _hold(path, inside, leave):
    with lock.exclusive(path):
        inside.set()
        leave.wait(20)


def test_the_lock_holds_between_processes_and_says_that_it_waits(tmp_path):
    context = multiprocessing.get_context("spawn")
    inside, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "device.lock", inside, leave))
    process.start()
    assert inside.wait(20)
    said = []

    def waiting(sentence: str) -> None:
        said.append(sentence)
        leave.set()

    with lock.exclusive(tmp_path / "device.lock", waiting, poll_s=0.01):
        assert len(said) == 1 and f"process {process.pid}" in said[0]
    process.join(20)


def test_the_lock_ends_with_a_holder_that_is_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    inside, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "device.lock", inside, leave))
    process.start()
    assert inside.wait(20)
    process.kill()
    process.join(20)
    with lock.exclusive(tmp_path / "device.lock", pytest.fail):
        pass


def test_devices_have_locks_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path))
    with lock.device("cpu"), lock.device("cuda", pytest.fail):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_machine_is_described_and_remembered(tmp_path):
    description = machine.describe("cpu", {"threads": 2})
    assert description["name"] == machine.name("cpu") and description["name"].startswith("cpu-")
    assert {"id", "cpu", "gpus", "python", "versions", "environment", "backend", "code"} <= description.keys()
    assert description["cpu"]["cores"] >= 1 and "numpy" in description["versions"]
    assert machine.describe("cpu", {"threads": 2})["id"] == description["id"]
    other = machine.describe("cpu", {"threads": 1})
    assert other["id"] != description["id"]
    for each in (description, other, description):
        machine_file.remember(tmp_path, each)
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"], "nothing else is left beside the results"
    known = json.loads((tmp_path / "machine.json").read_text())
    assert known == {description["id"]: description, other["id"]: other}


def test_the_environment_is_part_of_the_description(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert machine.describe("cpu")["environment"]["OMP_NUM_THREADS"] == "7"


def test_no_visible_gpu_is_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    nvidia.has_cuda.cache_clear()
    assert not nvidia.has_cuda()
    nvidia.has_cuda.cache_clear()


def test_gpus_are_found_by_the_driver_command_where_the_package_is_missing(tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 570.1, 1980, GPU-5e, 00000000:17:00.0'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    nvidia.gpus.cache_clear()
    (found,) = nvidia.gpus()
    nvidia.gpus.cache_clear()
    assert found == {
        "name": "NVIDIA H200",
        "memory_bytes": 143771 * 2**20,
        "driver": "570.1",
        "max_clock_mhz": 1980,
        "uuid": "GPU-5e",
        "bus": "00000000:17:00.0",
    }


class Nvml(types.ModuleType):
    """A stand-in for nvidia-ml-py with one GPU that is throttled for power in its second round."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.reasons = iter([0x1, 0x4, 0x0])

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetClockInfo(self, gpu, kind):
        return 1755

    def nvmlDeviceGetTemperature(self, gpu, kind):
        raise RuntimeError("not supported")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu):
        return next(self.reasons)


def test_throttled_rounds_are_marked(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    watch = nvidia.GpuWatch()
    for _ in range(3):
        watch.after_round()
    assert watch.throttled_rounds == [1], "rounds are counted from 0"
    assert watch.state() == {"clock_mhz": 1755, "temperature_c": None}


@pytest.mark.parametrize(("visible", "handle"), [("", 0), ("3", 3), ("2,1", 2), ("GPU-ab12", "GPU-ab12")])
def test_the_gpu_that_is_watched_is_the_first_visible(monkeypatch, visible, handle):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert nvidia._first_visible(Nvml()) == handle


def test_without_a_driver_the_watch_is_silent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    watch = nvidia.GpuWatch()
    watch.after_round()
    assert watch.state() is None and watch.throttled_rounds == []
