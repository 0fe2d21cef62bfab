"""From JSON Lines to one tidy table: records are read, curves named, and points compared with nested.

A record belongs to the machine whose folder contains it. Ratios are formed only within one machine, case, mode and
place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from jetbench.atomic_files import replacing
from jetbench.errors import JetbenchError
from jetbench.measure import changes
from jetbench.measure.records import parse
from jetbench.report import columns, costs, labels

log = logging.getLogger(__name__)

#: The training records beside a collected table.
TRAINING = "training.json"
#: Rows that are held as Python objects before they become a part of the table: so memory grows with the table alone.
ROWS_AT_ONCE = 10_000


def read(results: Path) -> pd.DataFrame:
    """All records below `results` as one table with the columns of `columns.COLUMNS`.

    Folders without records (results/published among them) contribute nothing. A line cut off by a killed run is skipped
    with a warning; of a point measured again, the newest version of the method, and then the last line, is kept.

    Raises:
        JetbenchError: `results` is not a folder.
    """
    results = Path(results)
    if not results.is_dir():
        raise JetbenchError(f"{results} is not a folder. Give the folder that contains <machine>/<study>/*.jsonl.")
    return machines_in(path for path in results.iterdir() if path.is_dir() and not path.name.startswith("."))


def machines_in(folders: Iterable[Path]) -> pd.DataFrame:
    """The records of some machines, each a folder with <study>/*.jsonl, as `read` returns them."""
    parts = [columns.typed(pd.DataFrame(columns=columns.NAMES))]
    rows: list[dict[str, Any]] = []
    for folder in sorted(folders):
        machine = Machine(folder)
        for path in sorted(folder.glob("*/*.jsonl")):
            source = str(path.relative_to(folder.parent))
            rows += [_row(record, machine, path.parent.name, source) for record in _records(path)]
            if len(rows) >= ROWS_AT_ONCE:
                parts.append(columns.typed(pd.DataFrame(rows)))
                rows = []
        machine.tell_of_settings()
    parts.append(columns.typed(pd.DataFrame(rows, columns=None if rows else columns.NAMES)))
    filled = [part for part in parts if len(part)] or parts[:1]
    return costs.over_nested(_newest(pd.concat(filled, ignore_index=True)))


def write(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write records.parquet, records.csv and COLUMNS.md into `folder`, each wholly or not at all; their paths."""
    import pyarrow
    from pyarrow import csv, parquet

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "records.parquet", folder / "records.csv", folder / "COLUMNS.md"]
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with replacing(paths[0]) as stream:
        parquet.write_table(table, stream)
    with replacing(paths[1]) as stream:
        csv.write_csv(table, stream)
    with replacing(paths[2]) as stream:
        stream.write(columns.document().encode())
    return paths


def load(path: Path) -> pd.DataFrame:
    """A collected table from records.parquet or records.csv.

    Raises:
        JetbenchError: there is no such file, or it is neither Parquet nor CSV.
    """
    path = Path(path)
    if not path.is_file():
        raise JetbenchError(f"No records at {path}. Make them with `jetbench report collect RESULTS --out FOLDER`.")
    if path.suffix not in (".parquet", ".csv"):
        raise JetbenchError(f"{path} must end in .parquet or .csv.")
    texts = {column.name: "string" for column in columns.COLUMNS if column.kind == "text"}
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=texts)
        if not {"machine", "status"} <= set(frame.columns):
            raise ValueError("it lacks the columns machine and status")
        return columns.typed(frame)
    except (OSError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise JetbenchError(
            f"{path} is not a collected table: {why}. Make it with `jetbench report collect`."
        ) from error


def write_training(runs: pd.DataFrame, folder: Path) -> Path | None:
    """Keep the training records beside the collected table; None, and no file, where there are none."""
    path = folder / TRAINING
    if runs.empty:
        path.unlink(missing_ok=True)
        return None
    path.write_text(json.dumps(runs.to_dict("records"), allow_nan=True), encoding="utf-8")
    return path


def load_training(records: Path, machine: str | None) -> pd.DataFrame:
    """The training records beside a collected table, of one machine if it is named."""
    path = records.parent / TRAINING
    if not path.is_file():
        return pd.DataFrame()
    runs = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    return runs if machine is None else runs[runs.machine == machine].reset_index(drop=True)


class Machine:
    """A machine's folder of results, and the settings under which its records were made.

    A folder holds one machine, but drivers, packages and flags of it may have changed between two runs. Records of
    different settings are those of different machines: the last setting has the folder's name, the others have what was
    different appended to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptions = _descriptions(folder / "machine.json")
        self._names: dict[str, str] = {}
        known = [each for each in self._descriptions.values() if isinstance(each, Mapping)]
        known.sort(key=lambda each: str(each.get("described_at") or ""))
        self._latest = {changes.framework(each): each for each in known}
        self._hardware: dict[tuple[str | None, str], str | None] = {}

    def name(self, machine_id: str | None) -> str:
        """The machine of a record: the folder, and what was different where it was not under the last setting."""
        if machine_id not in self._names:
            self._names[machine_id] = self._name(self._descriptions.get(machine_id))
        return self._names[machine_id]

    def hardware(self, machine_id: str | None, device: str) -> str | None:
        """Name of the GPU or CPU that a record was measured on."""
        key = (machine_id, device)
        if key not in self._hardware:
            self._hardware[key] = hardware(self._descriptions.get(machine_id), device)
        return self._hardware[key]

    def tell_of_settings(self) -> None:
        """Warn where the records were made under several settings."""
        others = sorted(set(self._names.values()) - {self.folder.name})
        if others:
            log.warning(
                "%s: its records were made under %d settings, which are kept apart; beside the last one there are %s.",
                *(self.folder, len(others) + 1, ", ".join(others)),
            )

    def _name(self, description: Any) -> str:
        if not isinstance(description, Mapping):
            return self.folder.name
        latest = self._latest[changes.framework(description)]
        if not changes.differences(description, latest):
            return self.folder.name
        changed = changes.differences(description, latest)
        told = ", ".join(f"{name} {old}" for name, (old, _) in changed.items())
        return f"{self.folder.name} ({told if len(told) <= 60 else changes.setting(description)})"


def _records(path: Path) -> Iterator[dict[str, Any]]:
    broken = 0
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        record = parse(line)
        if record is not None:
            yield record
        else:
            broken += bool(line.strip())
    if broken:
        log.warning("%s: skipped %d lines that are not records (a run that was killed leaves one).", path, broken)


def _descriptions(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
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


def _row(record: dict[str, Any], machine: Machine, study: str, source: str) -> dict[str, Any]:
    row = columns.row(record)
    options = record.get("operator_options") or {}
    machine_id, flops, network_flops = (record.get(name) for name in ("machine", "flops", "network_flops"))
    row.update(
        machine=machine.name(machine_id),
        hardware=machine.hardware(machine_id, record.get("device", "cpu")),
        study=record.get("study") or study,
        directions=record.get("directions") if _scheme_matters(record) else None,
        flops_over_network=flops / network_flops if flops is not None and network_flops else None,
        rank_ratio=rank_ratio(record.get("operator"), options, record.get("dim")),
        source=source,
    )
    row["series"] = f"{row['method']}{labels.GRIEWANK}" if row["directions"] == "griewank" else row["method"]
    row["x"] = row["rank_ratio"] if row["axis"] == "rank" else row["axis_value"]
    row["case"] = _case(record, row["widths"], options)
    return row


def _scheme_matters(record: dict[str, Any]) -> bool:
    exact = record.get("estimator", "exact") == "exact"
    return labels.is_directional(record.get("method")) and exact and (record.get("order") or 3) > 2


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


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a place on a curve: the highest method version, and the last written among those."""
    place = ["machine", "study", "case", "series", "mode", "axis", "axis_value"]
    order = frame.assign(_version=frame.method_version.fillna(0)).sort_values("_version", kind="stable")
    return order.drop_duplicates(place, keep="last").drop(columns="_version").sort_index().reset_index(drop=True)


def machines(frame: pd.DataFrame) -> list[str]:
    """The machines in a table, the main one first: with a GPU before without, then the most recently used."""
    if frame.empty:
        return []
    last = frame.assign(gpu=frame.device.fillna("").str.startswith("cuda"), started_at=frame.started_at.fillna(""))
    last = last.groupby("machine", sort=True)[["gpu", "started_at"]].max()
    return list(last.sort_values(["gpu", "started_at"], ascending=False, kind="stable").index)


def kept_apart(known: Iterable[str], machine: str | None) -> list[str]:
    """Those of the known machines that were measured for the one named, but are of another kind or setting.

    Their names are `machine` with the kind of hardware (a folder of its own) or with the setting appended.
    """
    begins = (f"{machine}-cuda-", f"{machine}-cpu-", f"{machine} (")
    return [] if machine is None else [each for each in known if each.startswith(begins)]


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
