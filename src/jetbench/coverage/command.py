"""What `jetbench coverage` does: which backends, methods and functions, progress, and what it prints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from jetbench.coverage import table
from jetbench.coverage.judging import STATUSES, Outcome, chosen, functions, judged, known_names, refusal
from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure.backends import BACKENDS
from jetbench.measure.progress import Progress

REASONS_SHOWN = 12


def run(
    backends: Sequence[str] | None,
    methods: Sequence[str] | None,
    names: Sequence[str] | None,
    out: Path | None,
    progress: Progress,
) -> list[Outcome]:
    """The outcomes of all functions and methods asked for; written to `out` after every function.

    Raises:
        JetbenchError: an unknown backend, method or function, or no backend at all.
    """
    plan = []
    for backend in installed(backends):
        held, known = functions(backend)
        entries = chosen(held, names)
        if backends is None or len(backends) > 1:
            mine = [method for method in methods or known if method in known]
        else:
            mine = known_names(known, methods)
        for method in [m for m in mine if refusal(known[m])]:
            mine.remove(method)
            progress.say(f"{backend} {method} is left out: {refusal(known[method])}")
        plan += [(held, backend, entry, {m: known[m] for m in mine}) for entry in entries if mine]
    if not plan:
        raise JetbenchError(f"No backend has a method called {', '.join(methods or ())}; see `jetbench list methods`.")
    if out is not None:
        table.write([], out)  # a folder that cannot be written to shows now
    logging.disable(logging.ERROR)  # folx logs a traceback for every function that it refuses
    found: list[Outcome] = []
    for number, (held, backend, (kind, name, function), mine) in enumerate(plan, 1):
        new = list(judged(held, backend, kind, name, function, mine))
        found += new
        if not progress.quiet:
            worst = [f"{o.method} {o.status}" for o in new if o.status != "ok"]
            progress.say(f"[{number}/{len(plan)}] {backend} {name}: {', '.join(worst) or 'ok'}")
        if out is not None:
            table.write(found, out)
    return found


def installed(backends: Sequence[str] | None) -> list[str]:
    """The backends asked for; by default those whose frameworks are installed.

    Raises:
        JetbenchError: there is no such backend, or its framework is not installed.
    """
    if backends:
        for backend in backends:
            functions(backend)
        return list(dict.fromkeys(backends))
    found = []
    for backend in BACKENDS:
        try:
            functions(backend)
        except BackendUnavailable:
            continue
        found.append(backend)
    return found


def functions_table(backends: Sequence[str] | None) -> Table:
    """The names of all functions by backend and kind."""
    made = Table("backend", "kind", "number", "functions", title="Functions", title_justify="left")
    for backend in installed(backends):
        for kind, inner in functions(backend)[0].FUNCTIONS.items():
            made.add_row(backend, kind, str(len(inner)), ", ".join(inner))
    return made


def summary_table(found: Sequence[Outcome]) -> Table:
    """How many functions are ok, unsupported and wrong, by backend and method."""
    made = Table("backend", "method", *STATUSES, "of", title="Coverage", title_justify="left")
    for place, numbers in table.counts(found).items():
        made.add_row(*place, *map(str, numbers))
    return made


def notes(found: Sequence[Outcome]) -> list[str]:
    """A line for each outcome that is wrong, and for the first that are unsupported."""
    wrong = [o for o in found if o.status == "wrong"]
    refused = [o for o in found if o.status == "unsupported"]
    lines = [f"wrong: {o.backend} {o.method} {o.function}: {o.reason}" for o in wrong]
    lines += [f"unsupported: {o.backend} {o.method} {o.function}: {o.reason}" for o in refused[:REASONS_SHOWN]]
    if len(refused) > REASONS_SHOWN:
        lines.append(f"and {len(refused) - REASONS_SHOWN} more unsupported; --out FOLDER writes all of them.")
    return lines
