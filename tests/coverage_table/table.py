"""The coverage table: as CSV, as Markdown, and as a summary that counts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from coverage_table.judging import STATUSES, Outcome

MARKS = {"ok": "ok", "unsupported": "–", "wrong": "**wrong**"}


def write(outcomes: Sequence[Outcome], folder: Path) -> tuple[Path, Path]:
    """Writes coverage.csv, one line a function and method, and coverage.md, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "coverage.csv", folder / "coverage.md"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Outcome)], lineterminator="\n")
        writer.writeheader()
        for outcome in outcomes:
            error = "" if outcome.error is None else f"{outcome.error:.0e}"
            writer.writerow(asdict(outcome) | {"orders": " ".join(outcome.orders), "error": error})
    page.write_text(markdown(outcomes), encoding="utf-8")
    return data, page


def read(path: Path) -> list[Outcome]:
    """The outcomes that `write` wrote as CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Outcome(
                **row
                | {
                    "orders": tuple(row["orders"].split()),
                    "error": float(row["error"]) if row["error"] else None,
                }
            )
            for row in csv.DictReader(file)
        ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The whole table, functions × methods for each backend, with the reasons below."""
    parts = ["# Coverage", "", "Written by `make coverage`.", "", summary(outcomes)]
    for backend in _distinct(o.backend for o in outcomes):
        of_backend = [o for o in outcomes if o.backend == backend]
        methods = _distinct(o.method for o in of_backend)
        status = {(o.function, o.method): o for o in of_backend}
        parts += ["", f"## {backend}", "", _row(["kind", "function", *methods]), _row(["---"] * (len(methods) + 2))]
        for kind, function in _distinct((o.kind, o.function) for o in of_backend):
            cells = [status.get((function, method)) for method in methods]
            parts.append(_row([kind, function, *("" if o is None else MARKS[o.status] for o in cells)]))
        refused = [o for o in of_backend if o.status != "ok"]
        if refused:
            parts += ["", _row(["function", "method", "status", "reason"]), _row(["---"] * 4)]
            parts += [_row([o.function, o.method, o.status, _escaped(o.reason)]) for o in refused]
    return "\n".join(parts) + "\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table that counts: one row for each backend and method."""
    lines = [_row(["backend", "method", *STATUSES, "of"]), _row(["---", "---", "---:", "---:", "---:", "---:"])]
    lines += [_row([*place, *map(str, numbers)]) for place, numbers in counts(outcomes).items()]
    return "\n".join(lines)


def counts(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], tuple[int, ...]]:
    """(backend, method) → how many functions are ok, unsupported and wrong, and all of them."""
    found: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.backend, outcome.method), []).append(outcome.status)
    return {place: (*(known.count(s) for s in STATUSES), len(known)) for place, known in found.items()}


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _distinct(items: Iterable) -> list:
    return list(dict.fromkeys(items))
