"""From JSON Lines to one tidy table: reading records, naming curves, and comparing each point with nested.

A record belongs to the machine in whose folder it lies. Ratios are formed only within one machine, case, mode
and place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jetbench.errors import JetbenchError
from jetbench.report import columns

log = logging.getLogger(__name__)

REFERENCE = "nested"
#: Methods that work along directions, so that their scheme matters for exact operators above degree 2.
DIRECTIONAL = ("taylor", "collapsed", "jax_jet", "jet_for_pytorch", "jet_for_pytorch_standard")


def read(results: Path) -> pd.DataFrame:
    """All records below `results` as one table with the columns of `columns.COLUMNS`.

    Folders without records (results/published among them) contribute nothing. A line cut off by a killed run is skipped
    with a warning; of a point measured again, the newest version of the method, and then the last line, is kept.

    Raises:
        JetbenchError: `results` is no folder.
    """
    results = Path(results)
    if not results.is_dir():
        raise JetbenchError(f"{results} is not a folder. Give the folder that holds <machine>/<study>/*.jsonl.")
    rows = [_row(record, path, results, descriptions) for record, path, descriptions in _records(results)]
    frame = columns.typed(pd.DataFrame(rows, columns=None if rows else columns.NAMES))
    return over_nested(_newest(frame))


def write(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write records.parquet, records.csv and COLUMNS.md into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "records.parquet", folder / "records.csv", folder / "COLUMNS.md"]
    frame.to_parquet(paths[0], index=False)
    frame.to_csv(paths[1], index=False)
    paths[2].write_text(columns.document(), encoding="utf-8")
    return paths


def load(path: Path) -> pd.DataFrame:
    """A collected table from records.parquet or records.csv.

    Raises:
        JetbenchError: there is no such file, or it is neither Parquet nor CSV.
    """
    path = Path(path)
    if not path.is_file():
        raise JetbenchError(f"No records at {path}. Make them with `jetbench report collect RESULTS --out FOLDER`.")
    if path.suffix == ".parquet":
        return columns.typed(pd.read_parquet(path))
    if path.suffix == ".csv":
        return columns.typed(pd.read_csv(path, dtype={c.name: "string" for c in columns.COLUMNS if c.kind == "text"}))
    raise JetbenchError(f"{path} must end in .parquet or .csv.")


def _records(results: Path) -> Iterator[tuple[dict[str, Any], Path, Mapping[str, Any]]]:
    for machine in sorted(p for p in results.iterdir() if p.is_dir() and not p.name.startswith(".")):
        descriptions = _descriptions(machine / "machine.json")
        for path in sorted(machine.glob("*/*.jsonl")):
            broken = 0
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    broken += bool(line.strip())
                    continue
                if _is_record(record):
                    yield record, path, descriptions
                else:
                    broken += 1
            if broken:
                log.warning("%s: skipped %d lines that are no record (a run that was killed leaves one).", path, broken)


def _is_record(found: Any) -> bool:
    """Whether what a line holds can be a record: its lists are lists and its mappings mappings."""
    if not isinstance(found, dict):
        return False
    kinds = dict.fromkeys(("widths", "warnings", "time_samples_s"), list)
    kinds |= dict.fromkeys(("operator_options", "peak_memory_bytes"), dict)
    return isinstance(found.get("status"), str) and all(
        found.get(name) is None or isinstance(found[name], kind) for name, kind in kinds.items()
    )


def _descriptions(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def hardware(description: Any, device: str) -> str | None:
    """Name of the GPU (device "cuda") or of the CPU in a machine description; None where it has none."""
    for key in ("gpu", "gpus", "cuda") if str(device).startswith("cuda") else ("cpu", "processor"):
        found = description.get(key) if isinstance(description, Mapping) else None
        found = found[0] if isinstance(found, list) and found else found
        if isinstance(found, Mapping):
            found = next((found[k] for k in ("name", "model", "brand") if found.get(k)), None)
        if found:
            return str(found)
    return None


def _row(record: dict[str, Any], path: Path, results: Path, descriptions: Mapping[str, Any]) -> dict[str, Any]:
    row = {
        name: record[name] for name in columns.NAMES if name in record and not isinstance(record[name], (list, dict))
    }
    options = record.get("operator_options") or {}
    widths = record.get("widths") or []
    memory = record.get("peak_memory_bytes") or {}
    machine_id = record.get("machine")
    row.update(
        machine=path.parent.parent.name,
        machine_id=machine_id,
        hardware=hardware(descriptions.get(machine_id), record.get("device", "cpu")),
        study=record.get("study") or path.parent.name,
        operator_options=json.dumps(options, sort_keys=True),
        widths="-".join(str(width) for width in widths) or None,
        warnings="; ".join(str(w) for w in record.get("warnings") or []) or None,
        time_count=len(record.get("time_samples_s") or []) or None,
        memory_differentiable_bytes=memory.get("differentiable"),
        memory_nondifferentiable_bytes=memory.get("nondifferentiable"),
        memory_source=memory.get("source"),
        flops_over_network=_quotient(record.get("flops"), record.get("network_flops")),
        rank_ratio=rank_ratio(record.get("operator"), options, record.get("dim")),
        source=str(path.relative_to(results)),
    )
    for name in ("time", "gradient_time"):
        row[f"{name}_low_s"], row[f"{name}_high_s"] = record.get(f"{name}_interval_s") or (None, None)
    row["time_over_floor_low"], row["time_over_floor_high"] = record.get("time_over_floor_interval") or (None, None)
    row["directions"] = record.get("directions") if _scheme_matters(record) else None
    row["series"] = f"{row.get('method')}_griewank" if row["directions"] == "griewank" else row.get("method")
    row["x"] = row["rank_ratio"] if row.get("axis") == "rank" else row.get("axis_value")
    row["case"] = _case(record, row["widths"], options)
    return row


def _scheme_matters(record: dict[str, Any]) -> bool:
    exact = record.get("estimator", "exact") == "exact"
    return record.get("method") in DIRECTIONAL and exact and (record.get("order") or 3) > 2


def rank_ratio(operator: str | None, options: Mapping[str, Any], dim: int | None) -> float | None:
    """Rank over dimension: `rank` is a count (integer) or already a ratio (float up to 1).

    A weighted Laplacian without it is of full rank; other operators have none.
    """
    rank = options.get("rank")
    if rank is None or isinstance(rank, bool) or not isinstance(rank, (int, float)):
        return 1.0 if operator == "weighted_laplacian" else None
    if isinstance(rank, float) and rank <= 1:
        return rank
    return rank / dim if dim else None


def _case(record: dict[str, Any], widths: str | None, options: Mapping[str, Any]) -> str:
    """A readable name of all that stays the same along a curve except method, directions and mode."""
    axis = record.get("axis")
    fixed = {name: value for name, value in sorted(options.items()) if name not in (axis, _OPTION_OF.get(axis), "dim")}
    parts = [
        record.get("backend"),
        record.get("operator"),
        *(f"{name}={value}" for name, value in fixed.items()),
        None if axis == "dimension" else f"D={record.get('dim')}",
        record.get("estimator", "exact"),
        None if axis == "samples" or record.get("samples") is None else f"samples={record['samples']}",
        record.get("network"),
        None if axis in ("width", "depth") else widths,
        record.get("activation"),
        f"outputs={record.get('outputs')}",
        f"seed={record.get('network_seed')}",
        record.get("dtype"),
        None if axis == "batch" else f"batch={record.get('batch')}",
        record.get("device"),
    ]
    return " ".join(str(part) for part in parts if part not in (None, ""))


_OPTION_OF = {"rank": "rank", "dimension": "dim"}


def _quotient(numerator: Any, denominator: Any) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a place on a curve: the highest method version, and the last written among those."""
    place = ["machine", "study", "case", "series", "mode", "axis", "axis_value"]
    order = frame.assign(_version=frame.method_version.fillna(0)).sort_values("_version", kind="stable")
    return order.drop_duplicates(place, keep="last").drop(columns="_version").sort_index().reset_index(drop=True)


def over_nested(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its `*_over_nested` columns filled from the nested point at the same place, where that is ok."""
    place = ["machine", "study", "case", "mode", "axis", "axis_value"]
    measured = ["time_s", "time_low_s", "time_high_s", "gradient_time_s"]
    measured += ["memory_differentiable_bytes", "memory_nondifferentiable_bytes"]
    nested = frame[(frame.series == REFERENCE) & (frame.status == "ok")].drop_duplicates(place, keep="last")
    joined = frame[[*place, *measured]].merge(
        nested[[*place, *measured]], on=place, how="left", suffixes=("", "_nested")
    )
    joined.index = frame.index
    ok = frame.status == "ok"
    frame = frame.copy()
    for target, source in [
        ("time_over_nested", "time_s"),
        ("gradient_time_over_nested", "gradient_time_s"),
        ("memory_differentiable_over_nested", "memory_differentiable_bytes"),
        ("memory_nondifferentiable_over_nested", "memory_nondifferentiable_bytes"),
    ]:
        frame[target] = (joined[source] / joined[f"{source}_nested"].replace(0.0, np.nan)).where(ok)
    own, other = joined["time_s"], joined["time_s_nested"]
    for end, opposite, sign in (("low", "high", -1), ("high", "low", 1)):
        # A ratio is lowest where nested is highest. On the logarithmic scale, so that no end is below zero.
        distance = np.hypot(
            np.log(own / joined[f"time_{end}_s"]), np.log(joined[f"time_{opposite}_s_nested"] / other)
        ).where(frame.series != REFERENCE, 0.0)
        frame[f"time_over_nested_{end}"] = frame.time_over_nested * np.exp(sign * distance)
    return frame


def machines(frame: pd.DataFrame) -> list[str]:
    """The machines in a table, the main one first: with a GPU before without, then the most recently used."""
    if frame.empty:
        return []
    last = frame.assign(gpu=frame.device.fillna("").str.startswith("cuda"), started_at=frame.started_at.fillna(""))
    last = last.groupby("machine", sort=True)[["gpu", "started_at"]].max()
    return list(last.sort_values(["gpu", "started_at"], ascending=False, kind="stable").index)


def one_machine(frame: pd.DataFrame, machine: str | None) -> pd.DataFrame:
    """The rows of one machine: the named one, or the main one.

    Raises:
        JetbenchError: no record is of that machine.
    """
    known = machines(frame)
    if machine is None:
        return frame[frame.machine == known[0]].reset_index(drop=True) if known else frame
    if machine not in known:
        raise JetbenchError(
            f"No records of the machine {machine!r}; there are records of {', '.join(known) or 'none'}."
        )
    return frame[frame.machine == machine].reset_index(drop=True)
