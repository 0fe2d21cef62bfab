"""The measuring process dies, hangs or starves: the point ends as a record, and the next one is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from reliability import DEATHS, STAGES

from fake_backend.sweeping import BACKEND, BUDGET, TESTS, curve, is_alive, lines, measure, point, wait_for, worker_of
from jetbench.measure import records
from jetbench.measure.case import Case, Point
from jetbench.measure.supervisor import Setup, Supervisor

pytestmark = pytest.mark.long

RECORDED = "the time of this point, recorded as {}; the next point is right"


def dying(by: str, at: str) -> Point:
    options = {"by": by, "at": at}
    case = Case(operator="laplacian", dim=3, method="dies", backend=BACKEND, batch=4, operator_options=options)
    return Point(case, "batch", "batch", 4)


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_costs_one_point(death, observed):
    with Supervisor(Setup(BACKEND, "cpu", 1, {**BUDGET, "gradient": False, "samples_max": 5})) as supervisor:
        for stage in STAGES:
            record = supervisor.measure(dying(death, stage))
            assert supervisor.measure(point("well"))["status"] == "ok", "the next point must not suffer"
            if stage == "writing":
                assert record["status"] == "ok" and record["time_s"] > 0
                (sees,) = (text for text in record["warnings"] if text.startswith("No differentiable memory"))
                lost = "the last number of this point, its memory"
                assert record["peak_memory_bytes"]["nondifferentiable"] == 1024
            else:
                assert record["status"] == "error" and record["time_s"] is None
                sees, lost = record["reason"], RECORDED.format("`error`")
            observed(f"killed by {death} in {stage}", sees, lost)


def test_native_code_that_hangs_is_ended_from_outside(observed):
    with Supervisor(Setup(BACKEND, "cpu", 1, {**BUDGET, "first_call_s": 0.5})) as supervisor:
        record = supervisor.measure(point("native_hang"))
        assert record["status"] == "timeout"
        assert supervisor.measure(point("well"))["status"] == "ok"
    observed(
        "a call hangs in native code past the limit", record["reason"].replace("0.56 s", "N s"),
        RECORDED.format("`timeout`"),
    )  # fmt: skip


HANGING = """
import sys
sys.path.insert(0, {tests!r})
from fake_backend.sweeping import BUDGET, curve
from jetbench.measure import sweep
from jetbench.measure.progress import Progress
from jetbench.errors import Interrupted
try:
    sweep.measure([curve("native_hang", [1])], {{"threads": 1, "budget": BUDGET}}, {out!r}, Progress(), "cpu")
except Interrupted as stop:
    print(stop, flush=True)
    sys.exit(stop.status)
"""


def start_hanging(tmp_path: Path, log: Path) -> subprocess.Popen[str]:
    """A sweep whose worker hangs in native code when this returns."""
    command = [sys.executable, "-c", HANGING.format(tests=TESTS, out=str(tmp_path / "machine"))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "FAKE_LOG": str(log)}
    )
    wait_for(lambda: lines(log))
    return process


def test_no_worker_is_left_when_the_supervisor_is_killed(tmp_path, observed):
    log = tmp_path / "calls"
    process = start_hanging(tmp_path, log)
    worker = worker_of(log)
    process.kill()
    process.wait()
    wait_for(lambda: not is_alive(worker), 10)
    observed(
        "the supervisor is killed while a call hangs in native code",
        "`Killed`; the measuring process is ended by the kernel, the device is free",
        "this point; the next run measures it",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_does_not_wait_for_native_code(tmp_path, number, observed):
    log = tmp_path / "calls"
    process = start_hanging(tmp_path, log)
    worker = worker_of(log)
    process.send_signal(number)
    said, _ = process.communicate(timeout=5)
    assert process.returncode == 128 + number and "Traceback" not in said
    wait_for(lambda: not is_alive(worker), 10)
    observed(f"{number.name} while a call hangs in native code", said, "this point; the next run measures it")


KILLED_IN_WRITING = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from fake_backend.sweeping import BUDGET, curve
from jetbench.measure import records, sweep
from jetbench.measure.progress import Progress
whole = os.write
def half(descriptor, content):
    if b'"batch": 2' in bytes(content):
        whole(descriptor, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(descriptor, content)
records.os.write = half
sweep.measure([curve("well")], {{"threads": 1, "budget": BUDGET}}, {out!r}, Progress(), "cpu")
"""


def test_a_supervisor_killed_in_the_middle_of_a_record_loses_that_point(tmp_path, observed):
    command = [sys.executable, "-c", KILLED_IN_WRITING.format(tests=TESTS, out=str(tmp_path / "machine"))]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    path = tmp_path / "machine" / "batch" / "fake-well.jsonl"
    assert not path.read_bytes().endswith(b"\n") and [r["batch"] for r in records.read(path)] == [1]
    again = measure(tmp_path, [curve("well")])
    assert (again.done, again.measured) == (1, {"ok": 2})
    assert len(lines(path)) == 3 and [r["batch"] for r in records.read(path)] == [1, 2, 3]
    observed(
        "the supervisor is killed while it writes a record",
        f"`Killed`; the next run says: {again}",
        "this point; the next run removes the half line and measures it",
    )


@pytest.mark.parametrize("module", ["json", "torch", "random"])
def test_files_of_the_working_directory_are_not_run(tmp_path, module):
    Path(f"{module}.py").write_text("raise SystemExit('run by accident')\n")
    assert measure(tmp_path, [curve("well", [1])]).measured == {"ok": 1}


def test_the_working_directory_is_no_place_for_modules(tmp_path, observed):
    Path("numpy.py").write_text("raise SystemExit('run by accident')\n")
    assert measure(tmp_path, [curve("well", [1])]).measured == {"ok": 1}
    observed("a file in the working directory is called like a module", "nothing: it is not run", "nothing")


def test_out_of_memory_is_a_status_and_the_next_point_is_right(observed):
    from fake_backend.starved_torch import ON_GPU, STARVED

    def of(batch: int) -> Point:
        case = Case(
            *("laplacian", 3, "collapsed"), backend="fake_backend.starved_torch", widths=(64,), batch=batch,
            method_version=1,
        )  # fmt: skip
        return Point(case, "batch", "batch", batch)

    with Supervisor(Setup("fake_backend.starved_torch", "cpu", 1, {**BUDGET, "gradient": False})) as supervisor:
        for batch, fault in (
            (STARVED, "no memory on the CPU (limit of the address space)"),
            (ON_GPU, "no memory on the GPU (simulated: torch.OutOfMemoryError)"),
        ):
            record = supervisor.measure(of(batch))
            assert record["status"] == "oom", record["reason"]
            after = supervisor.measure(of(2))
            assert after["status"] == "ok" and after["relative_error"] < 1e-12, after["reason"]
            observed(fault, record["reason"].partition(": you tried")[0], RECORDED.format("`oom`"))
