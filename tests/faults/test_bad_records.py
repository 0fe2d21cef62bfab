"""Files of results with anything in them: records are collected, the rest is passed over or told in one line."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import strategies as st
from junk import ANYTHING, VALUES, each, jetbench, refusal

from fake_backend.sweeping import point
from jetbench.measure import records
from jetbench.measure.point import blank
from jetbench.report import collect

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
GOOD = {**blank(point("well")), "status": "ok", "time_s": 1.0, "time_samples_s": [1.0], "time_interval_s": [0.9, 1.1]}
LINES = (
    b"", b"null", b"[]", b"{}", b'"text"', b"NaN", b"{" * 5000, b"[" * 5000, b"\x00" * 100, b"\xff\xfe\xfd",
    b"1" * 5000,
    b'{"key": "a"}', b'{"status": "ok"}{"status": "ok"}', b'{"status": "\\ud800"}', b"\xef\xbb\xbf{}",
    b'{"key": "a", "status": "ok", "axis_value": 1e999, "time_s": 1' + b"0" * 400 + b"}",
)  # fmt: skip


def never(value: object) -> bool:
    return False


def test_wrong_lines_and_tables(tmp_path, tried, caplog):
    """Each record spoiled in one place; all of them in one file, among good ones that must come through."""
    caplog.set_level(logging.ERROR)
    lines = list(LINES)
    for name in GOOD:
        for value in each(VALUES[::2], ANYTHING, 3, never):
            lines.append(json.dumps({**GOOD, "key": f"{len(lines)}", name: value}).encode())
    whole = json.dumps(GOOD).encode()
    cut = st.tuples(st.integers(0, len(whole)), st.integers(1, 30), st.binary(max_size=5))
    for start, length, new in each((), cut, 150, never):
        lines.append(whole[:start] + new.replace(b"\n", b"") + whole[start + length :])
    path = Path("machine", "batch", "curve.jsonl")
    path.parent.mkdir(parents=True)
    marks = [{**GOOD, "key": f"good {number}", "case": "x", "axis_value": 1e6 + number} for number in range(3)]
    for mark in marks:
        lines.insert(len(lines) // 2, json.dumps(mark).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert {mark["key"] for mark in marks} <= {record["key"] for record in records.read(path)}
    frame = collect.read(tmp_path)
    assert {1e6, 1e6 + 1, 1e6 + 2} <= set(frame.axis_value)
    collect.write(frame, tmp_path / "out")
    pd.testing.assert_frame_equal(collect.load(tmp_path / "out" / "records.parquet"), frame)
    table = str(tmp_path / "out" / "records.parquet")
    for words in (["table", "status"], ["table", "main"], ["figure", "batch"]):
        status, _, err = jetbench("report", *words, "--records", table, "--out", str(tmp_path / "out" / "made"))
        assert status == 0, err
    spoiled = 0
    for suffix in (".parquet", ".csv"):
        good = (tmp_path / "out" / f"records{suffix}").read_bytes()
        for number, broken in enumerate(
            (b"", b"\x00", b"text", good[:50], good[::-1][:5000], b"a,b\n1,2\n", b'"' * 100)
        ):
            other = Path(f"{number}{suffix}")
            other.write_bytes(broken)
            refusal("report", "table", "main", "--records", str(other), "--out", "made")
            spoiled += 1
    assert not Path("made.csv").exists()
    tried("lines of records, and tables", len(lines) - len(marks) + spoiled)


def test_records_survive_the_round_trip():
    assert records.parse(records.encode(GOOD)) == json.loads(records.encode(GOOD))


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_is_unpickled_or_evaluated(path):
    """No module reads pickles, evaluates text, or loads YAML by another loader than a safe one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "dill", "shelve", "marshal", "joblib"} & set(names)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in (
                "eval",
                "exec",
                "np.load",
                "torch.load",
                "pd.read_pickle",
                "yaml.load",
                "yaml.full_load",
            )
