"""Large studies, many records, long runs: what is done grows no faster than they do. Nothing is timed here.

Whether a long run grows is told by `make soak`.
"""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from test_bad_records import GOOD

from jetbench import operators
from jetbench.measure import case, config, plan
from jetbench.measure.backends import torch as measuring
from jetbench.measure.case import Case
from jetbench.report import collect

pytestmark = pytest.mark.long

OPERATORS, METHODS, BATCHES = 20, ("nested", "nested_reverse", "taylor", "collapsed", "forward_laplacian"), 100


def large(batches: int) -> dict:
    """A study of OPERATORS × METHODS × batches points."""
    study = {
        "axis": "batch",
        "values": list(range(1, batches + 1)),
        "methods": list(METHODS),
        "network": {"widths": [8]},
        "cases": [{"operator": "helmholtz", "dim": 3, "options": {"wavenumber": 1 + n / 64}} for n in range(OPERATORS)],
    }
    return {"preset": "large", "device": "cpu", "budget": {"point_s": 1}, "studies": {"batch": study}}


def test_a_study_of_10000_points_makes_each_operator_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        operators, "make", lambda name, make=operators.make, **given: made.append(name) or make(name, **given)
    )
    case._facts.cache_clear()
    plan._vectors.cache_clear()
    study = large(BATCHES)
    config.validate(study)
    curves = case.curves(study)
    assert len(curves) == OPERATORS * len(METHODS) and sum(len(curve.points) for curve in curves) == 10_000
    assert len(made) == OPERATORS, "once to know its order, for all methods and batches"
    found = plan.estimates(curves, study)
    assert len(found) == 10_000 and len(made) == OPERATORS * (1 + len(METHODS)), "once more for each method's vectors"
    assert sum(1 for _ in plan.lines(found)) == 10_001


def write(folder: Path, files: int, records: int) -> None:
    for number in range(files):
        path = folder / "machine" / "batch" / f"curve{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        point = {**GOOD, "operator": f"operator{number}"}
        lines = [json.dumps({**point, "key": f"{number}-{batch}", "axis_value": batch}) for batch in range(records)]
        path.write_text("\n".join(lines) + "\n")


def test_collecting_reads_each_file_and_each_line_once(tmp_path, monkeypatch):
    opened, parsed = [], []
    monkeypatch.setattr(
        Path, "open", lambda path, *given, open=Path.open, **named: opened.append(path) or open(path, *given, **named)
    )
    monkeypatch.setattr(collect, "parse", lambda line, parse=collect.parse: parsed.append(line) or parse(line))
    write(tmp_path, files=7, records=11)
    opened.clear()
    assert len(collect.read(tmp_path)) == 77
    assert (
        len([path for path in opened if path.suffix == ".jsonl"])
        == len({*opened} - {tmp_path / "machine" / "machine.json"})
        == 7
    )
    assert len([line for line in parsed if line]) == 77


@pytest.mark.parametrize("records", [100])
def test_100000_records_fit_into_a_gibibyte(tmp_path, monkeypatch, records):
    """The memory that a record takes at the peak, of the table and of what is held beside it, times 100,000."""
    monkeypatch.setattr(collect, "ROWS_AT_ONCE", 500)
    peaks = []
    for files in (10, 30):
        write(tmp_path / str(files), files, records)
        tracemalloc.start()
        assert len(collect.read(tmp_path / str(files))) == files * records
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    each = (peaks[1] - peaks[0]) / (20 * records)
    assert 100_000 * each < 2**30


def test_a_process_keeps_no_network_but_the_last():
    session = measuring.Session("cpu")
    kept = set()
    for width in range(4, 12):
        subject = session.prepare(Case("laplacian", 2, "collapsed", widths=(width,), batch=2))
        assert subject.relative_error(subject.value()) < 1e-12 and subject.floor_vectors == 4
        kept.add(len(session._kept))
    assert kept == {len(session._kept)}, "as many as there are kinds of things, however many widths"
    assert session.keep(("network", "a"), list) is session.keep(("network", "a"), list)
