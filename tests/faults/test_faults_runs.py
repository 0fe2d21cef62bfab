"""Interruptions at any time, two sweeps at once, clocks that go back, machines that change under way, Snakemake."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from fake_backend import measuring as fake
from fake_backend.sweeping import BUDGET, TESTS, curve, lines, measure, point, wait_for
from jetbench.measure import changes, lock, records, sweep
from jetbench.measure import config as configs
from jetbench.measure import point as points
from jetbench.measure.progress import Progress
from jetbench.report import collect

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
CONFIG = {
    "preset": "own",
    "device": "cpu",
    "budget": {"point_s": 0.05},
    "studies": {
        "batch": {
            "axis": "batch",
            "values": [1, 2],
            "methods": ["nested"],
            "network": {"widths": [8]},
            "cases": [{"operator": "laplacian", "dim": 3}],
        }
    },
}


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def sweep_command() -> tuple[str, ...]:
    Path("own.yaml").write_text(yaml.safe_dump(CONFIG))
    return (sys.executable, "-m", "jetbench", "sweep", "--config", "own.yaml", "--machine-name", "m")


def interrupt(process: subprocess.Popen[str], number: int) -> str:
    """The last line it says after a signal; it must end in time, with the status of the signal, without a traceback."""
    process.send_signal(number)
    said, _ = process.communicate(timeout=5)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


# --- interruptions


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_is_loaded(tmp_path, number, observed):
    process = start(*sweep_command())
    wait_for(lambda: is_handled(process.pid))
    said = interrupt(process, number)
    assert "Run the same command again" in said and not Path("results").exists()
    observed(f"{number.name} while the command is loaded", said, "nothing: nothing was begun")


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_waits_for_the_device(number, observed):
    with lock.device("cpu"):
        process = start(*sweep_command())
        assert "Waiting for process" in process.stdout.readline()
        said = interrupt(process, number)
    assert "Run the same command again" in said
    observed(f"{number.name} while it waits for the device", said, "nothing: nothing was begun")


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_measuring_process_starts(number, observed):
    process = start(*sweep_command())
    wait_for(lambda: children(process.pid))
    said = interrupt(process, number)
    assert "Run the same command again" in said
    observed(f"{number.name} while the measuring process starts", said, "nothing: nothing was begun")


def is_handled(process: int) -> bool:
    """Whether a process has handlers of its own: Python itself has none for SIGTERM."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


# --- two at once

TWO = """
import sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from fake_backend.sweeping import BUDGET, curve
from jetbench.measure import sweep
from jetbench.measure.progress import Progress
device, study = sys.argv[1:]
curves = [curve("brief", range(1, 7))]
curves = [replace(c, study=study) for c in curves]
print(sweep.measure(curves, {{"threads": 1, "budget": BUDGET}}, {out!r}, Progress(), device))
"""


def two(tmp_path: Path, *given: tuple[str, str, str]) -> list[str]:
    """What two sweeps say that are started at once, each on a device, for a study, with a GPU made visible."""
    script = TWO.format(tests=TESTS, out=str(tmp_path / "machine"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, device, study],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "FAKE_LOG": str(tmp_path / f"calls-{number}"), "CUDA_VISIBLE_DEVICES": gpu},
        )
        for number, (device, study, gpu) in enumerate(given)
    ]  # fmt: skip
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return said


def test_two_sweeps_on_one_device_measure_nothing_twice(tmp_path, observed):
    said = two(tmp_path, ("cpu", "batch", ""), ("cpu", "batch", ""))
    path = tmp_path / "machine" / "batch" / "fake-brief.jsonl"
    assert Counter(json.loads(line)["batch"] for line in lines(path)) == dict.fromkeys(range(1, 7), 1)
    (waiting,) = [line for text in said for line in text.splitlines() if line.startswith("Waiting for")]
    sees = f"the later one: {waiting.partition(' (lock')[0]}"
    observed("two sweeps at once on one device", sees, "nothing; nothing is measured twice")


def test_two_sweeps_on_two_devices_run_side_by_side(tmp_path, observed):
    said = two(tmp_path, ("cuda", "batch", "0"), ("cuda", "other", "1"))
    assert not any("Waiting" in text for text in said)
    for study in ("batch", "other"):
        found = records.read(tmp_path / "machine" / study / "fake-brief.jsonl")
        assert [(r["batch"], r["status"]) for r in found] == [(batch, "ok") for batch in range(1, 7)]
    observed("two sweeps at once on two devices", "nothing: they run side by side", "nothing")


# --- clocks


class Backwards:
    """A clock that is set back while a sample is taken, after three that are not."""

    def __init__(self) -> None:
        self.taken = iter([0.1, 0.1, 0.1])

    def time(self, call, repetitions=1):
        call()
        return next(self.taken, -0.5)


def test_a_sample_that_ends_before_it_began_is_no_time(observed):
    session = fake.Session()
    subject = session.prepare(point("well").case)
    subject.clock = Backwards()
    session.prepare = lambda case: subject
    record = points.measure(session, point("well"), configs.budget({"budget": BUDGET}), lambda *_: None)
    assert record["status"] == "error" and record["time_s"] is None
    observed("the clock of the samples goes backwards", record["reason"], "the time of this point, recorded as `error`")


def test_the_order_of_records_is_that_of_the_file_whatever_the_time(tmp_path, observed):
    measure(tmp_path, [curve("well")])
    path = tmp_path / "machine" / "batch" / "fake-well.jsonl"
    earlier = [{**json.loads(line), "started_at": "1999-01-01T00:00:00Z", "time_s": 7.0} for line in lines(path)[:1]]
    records.append(path, earlier[0])
    assert measure(tmp_path, [curve("well")]).done == 3
    frame = collect.read(tmp_path)
    assert len(frame) == 3 and frame.time_s.max() == 7.0 and frame.duration_s.min() >= 0
    observed("the wall clock goes backwards between two points", "nothing: order is that of the file", "nothing")


# --- the machine changes


def changed(tmp_path: Path, change) -> str:
    """What a sweep says in a folder whose first records were made when the machine was different."""
    measure(tmp_path, [curve("well", [1, 2])])
    path = tmp_path / "machine" / "machine.json"
    (description,) = json.loads(path.read_text()).values()
    old = json.loads(json.dumps(description))
    change(old)
    old["id"] = "0123456789ab"
    path.write_text(json.dumps({old["id"]: old}))
    file = tmp_path / "machine" / "batch" / "fake-well.jsonl"
    file.write_text(file.read_text().replace(description["id"], old["id"]))
    progress = Progress()
    progress.console = Console(record=True, width=2000)
    config = {"threads": 1, "budget": BUDGET}
    sweep.measure([curve("well", [1, 2, 3])], config, tmp_path / "machine", progress, "cpu")
    return progress.console.export_text().splitlines()[0]


APART = "nothing; in reports the older ones are those of the machine `machine ({})`"


def test_another_version_of_a_package_is_kept_apart(tmp_path, observed):
    def older(description: dict) -> None:
        description["versions"]["torch"] = "2.12.0"

    said = changed(tmp_path, older)
    assert collect.read(tmp_path).groupby("machine").size().to_dict() == {"machine": 1, "machine (torch 2.12.0)": 2}
    said = said.replace(importlib.metadata.version("torch"), "N")
    observed("another version of a package under way", said, APART.format("torch 2.12.0"))


def test_another_driver_is_kept_apart(tmp_path, observed):
    measure(tmp_path, [curve("well")])
    path = tmp_path / "machine" / "machine.json"
    (description,) = json.loads(path.read_text()).values()
    gpu = {"name": "NVIDIA H200", "driver": "580.2"}
    new = {**description, "device": "cuda", "gpus": [gpu]}
    old = {**new, "id": "0123456789ab", "gpus": [{**gpu, "driver": "570.1"}], "described_at": "2026-01-01T00:00:00Z"}
    path.write_text(json.dumps({old["id"]: old, new["id"]: new}))
    file = tmp_path / "machine" / "batch" / "fake-well.jsonl"
    file.write_text(file.read_text().replace(new["id"], old["id"], 1))
    assert collect.read(tmp_path).groupby("machine").size().to_dict() == {"machine": 2, "machine (driver 570.1)": 1}
    said = changes.sentence({old["id"]: old}, new)
    observed("another driver under way", said, APART.format("driver 570.1"))


def test_another_machine_has_a_folder_of_its_own(tmp_path, observed):
    def other(description: dict) -> None:
        description["cpu"]["model"] = "Another Processor"

    said = changed(tmp_path, other)
    folders = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("machine"))
    assert len(folders) == 2 and sorted(collect.read(tmp_path).machine.unique()) == folders
    observed("another GPU or processor under way", said.replace(folders[1], "machine-cpu-N"), "nothing")


# --- Snakemake


def snakemake(*settings: str) -> tuple[str, ...]:
    target = ".jetbench/collected/m/width/records.parquet"
    command = (str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), "--cores", "1")
    profile = ("--workflow-profile", str(ROOT / "profiles" / "default"))
    return (*command, *profile, target, "--config", "preset=smoke", "machine=m", *settings)


def recorded() -> list[dict]:
    return [json.loads(line) for path in Path("results/m/width").glob("*.jsonl") for line in lines(path)]


def test_snakemake_that_is_killed_goes_on_without_unlocking(monkeypatch, observed):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    process = start(*snakemake())
    wait_for(recorded, 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = len(recorded())

    process = start(*snakemake())
    wait_for(lambda: len(recorded()) > before, 60)
    os.killpg(process.pid, signal.SIGINT)
    interrupted, _ = process.communicate(timeout=10)
    assert process.returncode != 0 and "Traceback" not in interrupted
    keeps = next(line for line in interrupted.splitlines() if "running again goes on from there" in line)
    observed("Snakemake interrupted by SIGINT", keeps, "at most the point in progress; the next run measures it")

    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text(".jetbench/collected/m/width/records.parquet\n")
    done = subprocess.run(snakemake(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    keys = Counter((r["key"], r["axis_value"]) for r in recorded())
    assert len(keys) == 4 and set(keys.values()) == {1}, "nothing twice, nothing left out"
    assert len(collect.load(Path(".jetbench/collected/m/width/records.parquet"))) == 4
    sees = "`Killed`; the same command goes on, nothing is to be unlocked"
    observed("Snakemake and all its jobs killed by SIGKILL", sees, "the point in progress; the next run measures it")
    observed("the folder locked by a Snakemake that was killed", "nothing: the profile asks for no locks", "nothing")
