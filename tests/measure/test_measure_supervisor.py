"""Every point ends as a record, whatever becomes of the process that measures it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from fake_backend.sweeping import BACKEND, BUDGET, TESTS, curve, is_alive, lines, measure, point, wait_for, worker_of
from jetbench.errors import ConfigError, JetbenchError
from jetbench.measure import records, sweep
from jetbench.measure.progress import Progress
from jetbench.measure.supervisor import OutOfTime, Setup, Supervisor


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", TESTS)
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path / "locks"))


def setup(**budget) -> Setup:
    return Setup(BACKEND, "cpu", 1, {**BUDGET, **budget})


def run(method: str, **budget) -> dict:
    with Supervisor(setup(**budget)) as supervisor:
        return supervisor.measure(point(method))


def test_a_good_point_has_everything():
    record = run("well")
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["key"] == point("well").case.key
    assert (record["study"], record["axis"], record["axis_value"]) == ("batch", "batch", 4)
    assert record["vectors"] == record["floor_vectors"] == 10
    assert len(record["time_samples_s"]) == len(record["floor_samples_s"]) >= 1
    low, high = record["time_interval_s"]
    assert low <= record["time_s"] <= high
    assert record["own_floor_s"] == record["floor_s"]
    assert record["gradient_time_s"] > 0
    assert record["peak_memory_bytes"] == {"differentiable": 2048, "nondifferentiable": 1024, "source": "made up"}
    assert (record["flops"], record["network_flops"], record["relative_error"]) == (1000, 100, 1e-12)
    assert record["machine"] and record["threads"] == 1 and record["duration_s"] > 0


@pytest.mark.parametrize(
    ("method", "status", "words"),
    [
        ("wrong", "mismatch", "0.5"),
        ("broken", "error", "ValueError: a rule is missing"),
        ("hungry", "oom", "MemoryError"),
        ("segfault", "error", "SIGSEGV"),
        ("killed", "error", "SIGKILL"),
        ("exits", "error", "status 3"),
        ("unable", "unsupported", "This method cannot do anything."),
        ("noisy", "ok", None),
    ],
)
def test_what_goes_wrong_is_a_status_with_a_reason(method, status, words):
    with Supervisor(setup()) as supervisor:
        record = supervisor.measure(point(method))
        assert record["status"] == status
        assert record["reason"] is None if words is None else words in record["reason"]
        assert record["machine"]
        assert supervisor.measure(point("well"))["status"] == "ok", "the next point must not suffer"


def test_a_mismatch_is_not_timed(monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls"))
    record = run("wrong")
    assert record["time_s"] is None and record["time_samples_s"] == [] and record["gradient_time_s"] is None
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_hanging_call_is_stopped_from_outside():
    record = run("hang", first_call_s=0.5)
    assert record["status"] == "timeout"
    assert "'first call'" in record["reason"] and "0.56 s" in record["reason"]
    assert record["duration_s"] < 10


def test_what_was_timed_before_a_hang_stands():
    record = run("hang_in_gradient", first_call_s=1)
    assert record["status"] == "ok" and record["time_s"] is not None and record["gradient_time_s"] is None
    assert any("gradient" in warning and "Stopped after" in warning for warning in record["warnings"])


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("gradient", [True, "quick", False])
def test_a_quick_gradient_is_that_of_an_eager_point(gradient, mode):
    with Supervisor(setup(gradient=gradient)) as supervisor:
        record = supervisor.measure(point("well", mode=mode))
    left_out = gradient == "quick" and mode == "compiled"
    assert record["status"] == "ok"
    assert (record["gradient_time_s"] is not None) == (gradient is not False and not left_out)
    assert (record["peak_memory_bytes"]["differentiable"] is not None) == (not left_out)
    assert record["peak_memory_bytes"]["nondifferentiable"] is not None


def test_out_of_memory_in_the_gradient_leaves_the_time():
    record = run("starved_gradient")
    assert record["status"] == "ok" and record["gradient_time_s"] is None
    assert "No gradient: out of memory" in record["warnings"]
    assert record["peak_memory_bytes"]["differentiable"] == 2048


def test_a_deadline_stops_the_point_in_progress():
    with Supervisor(setup()) as supervisor, pytest.raises(OutOfTime):
        supervisor.measure(point("hang"), time.monotonic() + 0.5)


def test_a_worker_that_cannot_start_is_an_error_for_the_user():
    with (
        pytest.raises(JetbenchError, match=r"backend 'nowhere\.measuring'"),
        Supervisor(Setup("nowhere.measuring")) as s,
    ):
        s.hello  # noqa: B018


def test_a_curve_resumes_where_it_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls"))
    first = measure(tmp_path, [curve("well", (1, 2))])
    assert (first.measured, first.left) == ({"ok": 2}, 0)
    (tmp_path / "calls").unlink()
    second = measure(tmp_path, [curve("well", (1, 2, 3))])
    assert (second.done, second.measured) == (2, {"ok": 1})
    assert {line.split()[2] for line in (tmp_path / "calls").read_text().splitlines()} == {"3"}
    found = records.read(tmp_path / "machine" / "batch" / "fake-well.jsonl")
    assert [r["axis_value"] for r in found] == [1, 2, 3]
    known = json.loads((tmp_path / "machine" / "machine.json").read_text())
    assert {r["machine"] for r in found} <= known.keys()


def test_another_version_is_measured_again_and_only_that_method(tmp_path, monkeypatch):
    curves = [curve("well", (1, 2)), curve("other", (1,))]
    measure(tmp_path, curves)
    monkeypatch.setenv("FAKE_VERSION", "2")
    result = measure(tmp_path, curves)
    assert (result.done, result.measured) == (1, {"ok": 2})
    found = records.read(tmp_path / "machine" / "batch" / "fake-well.jsonl")
    assert sorted(r["method_version"] for r in found) == [1, 1, 2, 2]


def test_failures_are_records_and_are_repeated_only_when_asked(tmp_path):
    assert measure(tmp_path, [curve("broken", (1, 2))]).measured == {"error": 2}
    assert measure(tmp_path, [curve("broken", (1, 2))]).measured == {}
    assert measure(tmp_path, [curve("broken", (1, 2))], again="failed").measured == {"error": 2}


def test_one_deadly_point_does_not_stop_the_curve(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_BAD_BATCH", "2")
    measure(tmp_path, [curve("segfault", (1, 2, 3))])
    found = records.read(tmp_path / "machine" / "batch" / "fake-segfault.jsonl")
    assert [(r["batch"], r["status"]) for r in found] == [(1, "ok"), (2, "error"), (3, "ok")]


def test_a_sweep_stops_when_its_minutes_are_over_and_goes_on(tmp_path):
    result = measure(tmp_path, [curve("well", (1, 2)), curve("hang", (1,))], minutes=3 / 60)
    assert result.measured == {"ok": 2} and result.left == 1
    again = measure(tmp_path, [curve("well", (1, 2)), curve("hang", (1,))], minutes=1 / 60)
    assert again.done == 2 and again.left == 1


def test_a_method_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"method 'brilliant'; allowed: well, other"):
        measure(tmp_path, [curve("brilliant")])


SWEEP = """
import sys
from jetbench.errors import Interrupted
from jetbench.measure import sweep
from jetbench.measure.progress import Progress
sys.path.insert(0, {tests!r})
from fake_backend.sweeping import BUDGET, curve
try:
    sweep.measure([curve("slow", range(1, 40))], {{"threads": 1, "budget": BUDGET}}, {out!r}, Progress(), "cpu")
except Interrupted as stop:
    print(stop, flush=True)
    sys.exit(stop.status)
"""


def start_sweep(tmp_path, log: Path) -> subprocess.Popen:
    script = SWEEP.format(tests=TESTS, out=str(tmp_path / "machine"))
    environment = {**os.environ, "FAKE_LOG": str(log)}
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def test_killing_the_supervisor_loses_one_point_and_leaves_no_worker(tmp_path):
    results, log = tmp_path / "machine" / "batch" / "fake-slow.jsonl", tmp_path / "calls"
    process = start_sweep(tmp_path, log)
    wait_for(lambda: len(lines(results)) >= 1)
    process.kill()
    process.wait()
    worker = worker_of(log)
    wait_for(lambda: not is_alive(worker), 5)
    before = lines(results)
    assert all(json.loads(line)["status"] == "ok" for line in before)

    process = start_sweep(tmp_path, log)
    wait_for(lambda: len(lines(results)) > len(before))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    batches = [json.loads(line)["batch"] for line in lines(results)]
    assert batches == list(range(1, len(batches) + 1)), "nothing twice, nothing left out"


def test_killing_the_worker_is_one_record(tmp_path):
    results, log = tmp_path / "machine" / "batch" / "fake-slow.jsonl", tmp_path / "calls"
    process = start_sweep(tmp_path, log)
    wait_for(lambda: len(lines(log)) >= 1)
    os.kill(worker_of(log), signal.SIGKILL)
    wait_for(lambda: len(lines(results)) >= 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    first, second, *_ = map(json.loads, lines(results))
    assert (first["status"], second["status"]) == ("error", "ok")
    assert "SIGKILL" in first["reason"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_soon_and_says_how_to_go_on(tmp_path, number):
    results, log = tmp_path / "machine" / "batch" / "fake-slow.jsonl", tmp_path / "calls"
    process = start_sweep(tmp_path, log)
    wait_for(lambda: len(lines(results)) >= 1)
    process.send_signal(number)
    said, _ = process.communicate(timeout=5)
    assert process.returncode == 128 + number
    assert "Run the same command again to go on." in said and "Traceback" not in said
    worker = worker_of(log)
    wait_for(lambda: not is_alive(worker), 5)
    assert len(records.read(results)) == len(lines(results))


def test_progress_shows_what_failed(tmp_path):
    progress = Progress()
    progress.console = Console(record=True, force_terminal=False, width=400)
    sweep.measure([curve("broken", (1,))], {"threads": 1, "budget": BUDGET}, tmp_path / "m", progress, "cpu")
    assert "error (ValueError: a rule is missing)" in progress.console.export_text()
