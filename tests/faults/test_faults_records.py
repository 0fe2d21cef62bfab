"""Disks that are full or read-only, and records that are not what was written: what is whole is kept."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_backend.sweeping import curve, lines, measure
from jetbench.atomic_files import check_writable, replacing
from jetbench.cli.errors import refused
from jetbench.cli.main import app
from jetbench.errors import JetbenchError
from jetbench.measure import records
from jetbench.report import collect

pytestmark = pytest.mark.long

WELL = Path("machine", "batch", "fake-well.jsonl")
MANY = range(1, 60)


def read(path: Path) -> list[int]:
    return [record["batch"] for record in records.read(path)]


def test_a_full_disk_loses_the_record_that_did_not_fit(small_disk, observed):
    with pytest.raises(JetbenchError, match="could not be written") as told:
        measure(small_disk, [curve("well", MANY)])
    before = read(small_disk / WELL)
    assert 0 < len(before) < len(MANY) and len(lines(small_disk / WELL)) == len(before), "no half line is left"
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    again = measure(small_disk, [curve("well", MANY)])
    assert (again.done, again.left) == (len(before), 0) and read(small_disk / WELL) == list(MANY)
    message = str(told.value).replace(f"batch {before[-1] + 1}", "batch N")
    observed("the disk is full when a record is written", f"Error: {message}", "this point; the next run measures it")


def test_a_record_that_is_written_by_half_is_taken_back(tmp_path, monkeypatch):
    path, whole = tmp_path / "curve.jsonl", os.write
    record = {"key": "a", "status": "oom", "reason": "x" * 100}
    records.append(path, record)

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(descriptor, content[:-40])

    monkeypatch.setattr(records.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        records.append(path, {**record, "key": "b"})
    assert records.read(path) == [record] and len(lines(path)) == 1


def test_a_full_disk_leaves_the_old_table(small_disk, observed):
    subprocess.run(["mount", "-o", "remount,size=256k", str(small_disk)], check=True)
    measure(small_disk, [curve("well", [1, 2])])
    collect.write(collect.read(small_disk), small_disk)
    before = (small_disk / "records.parquet").read_bytes()
    with open(small_disk / "ballast", "wb") as ballast, pytest.raises(OSError):
        ballast.write(bytes(2**20))
    result = CliRunner().invoke(app, ["report", "collect", str(small_disk), "--out", str(small_disk)])
    assert result.exit_code == 2 and (small_disk / "records.parquet").read_bytes() == before
    assert not list(small_disk.glob(".*")), "nothing is left beside it"
    observed("the disk is full when the collected table is written", result.stderr, "nothing; the old table stands")


def test_a_read_only_folder_is_told_before_anything_is_measured(tmp_path, small_disk, observed):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError) as told:
        measure(small_disk, [curve("well", [1])])
    assert refused(told.value).startswith(str(small_disk))
    result = CliRunner().invoke(app, ["report", "collect", str(small_disk), "--out", str(small_disk)])
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
    observed("the results folder is read-only", f"Error: {refused(told.value)}", "nothing: nothing is measured")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as stream:
        stream.write(b"new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_what_is_no_file_is_never_replaced(tmp_path):
    path, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    path.write_text("old")
    link.symlink_to(path)
    with replacing(link) as stream:
        stream.write(b"new")
    assert link.is_symlink() and path.read_text() == "new"
    os.mkfifo(pipe)
    check_writable(pipe)  # it would wait for a reader if it opened the pipe
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as stream:
        stream.write(b"through")
    assert os.read(reader, 100) == b"through" and pipe.is_fifo()
    os.close(reader)
    assert sorted(tmp_path.iterdir()) == [path, link, pipe]


DAMAGES = {
    "a record truncated": lambda line: line[: len(line) // 2],
    "a record garbled": lambda line: bytes(
        [byte ^ 0x80 if number % 7 == 3 else byte for number, byte in enumerate(line)]
    ),
    "a record of a foreign version": lambda line: line.replace(b'"status": "ok"', b'"status": "verified"'),
    "a record with NaN for its time": lambda line: json.dumps({**json.loads(line), "time_s": float("nan")}).encode(),
    "a record of a thousand nested lists": lambda line: b"[" * 100_000,
}


@pytest.mark.parametrize("fault", DAMAGES)
def test_what_is_no_record_is_measured_again(tmp_path, fault, caplog, observed):
    measure(tmp_path, [curve("well")])
    first, second, third = WELL.read_bytes().splitlines()
    WELL.write_bytes(b"\n".join([first, DAMAGES[fault](second), third, b""]))
    assert read(WELL) == [1, 3]
    with caplog.at_level(logging.WARNING):
        assert len(collect.read(tmp_path)) == 2
    (warning,) = caplog.messages
    again = measure(tmp_path, [curve("well")])
    assert (again.done, again.measured) == (2, {"ok": 1}) and sorted(read(WELL)) == [1, 2, 3]
    observed(fault, f"when collecting: Warning: {warning}", "this point; the next run measures it")


def test_of_a_record_that_stands_twice_the_last_counts(tmp_path, observed):
    measure(tmp_path, [curve("well")])
    first, second, third = WELL.read_text().splitlines()
    WELL.write_text("\n".join([first, second, third, json.dumps({**json.loads(second), "time_s": 77.0}), ""]))
    assert measure(tmp_path, [curve("well")]).done == 3
    frame = collect.read(tmp_path)
    assert len(frame) == 3 and frame.time_s.max() == 77.0
    observed("a record twice", "nothing: the later one counts", "nothing")


def test_a_damaged_description_is_kept_beside_a_new_one(tmp_path, observed):
    measure(tmp_path, [curve("well", [1])])
    Path("machine", "machine.json").write_text('{"a": {"cpu"')
    assert len(collect.read(tmp_path)) == 1
    again = measure(tmp_path, [curve("well", [1, 2])])
    assert (again.done, again.measured) == (1, {"ok": 1})
    assert Path("machine", "machine.json.damaged").read_text() == '{"a": {"cpu"'
    (described,) = json.loads(Path("machine", "machine.json").read_text())
    assert described == records.read(WELL)[1]["machine"]
    observed("machine.json garbled", "nothing; it is kept as machine.json.damaged", "descriptions of other settings")
