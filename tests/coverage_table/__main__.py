"""The command `python -m coverage_table`, which `make coverage` runs; see --help."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from coverage_table import table
from coverage_table.judging import Functions, Outcome, chosen, functions, judged, known_names, refusal
from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure.backends import BACKENDS
from jetbench.methods import Method

REASONS_SHOWN = 12


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="coverage_table",
        description="Run a list of functions through every method and count which are right, unsupported and wrong. "
        "Each value is compared with one from plain evaluations, without derivative rules. "
        "The exit status is 1 if a value is wrong.",
    )
    parser.add_argument("--backend", nargs="+", help="torch, jax or both (default: those that are installed).")
    parser.add_argument("--methods", nargs="+", help="Default: all methods of each backend.")
    parser.add_argument("--functions", nargs="+", help="Names or kinds of functions (default: all).")
    parser.add_argument("--out", type=Path, help="Write coverage.csv and coverage.md to this folder.")
    parser.add_argument("--list", action="store_true", help="Print the functions and run none.")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 2 where the arguments are wrong."""
    options = _arguments(words)
    try:
        backends = installed(options.backend)
        if options.list:
            print("\n".join(listed(backends)))
            return 0
        outcomes = run(backends, options.methods, options.functions, options.out)
    except JetbenchError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join([table.summary(outcomes), *notes(outcomes)]))
    return int(any(outcome.status == "wrong" for outcome in outcomes))


def installed(backends: Sequence[str] | None) -> dict[str, Functions]:
    """Backend → its functions, for the backends asked for; by default for those whose frameworks are installed.

    Raises:
        JetbenchError: there is no such backend, or its framework is not installed.
    """
    if backends:
        return {backend: functions(backend)[0] for backend in backends}
    found = {}
    for backend in BACKENDS:
        try:
            found[backend] = functions(backend)[0]
        except BackendUnavailable:
            continue
    return found


def listed(backends: dict[str, Functions]) -> Iterator[str]:
    """One line for each backend and kind: the names of its functions."""
    for backend, held in backends.items():
        for kind, inner in held.FUNCTIONS.items():
            yield f"{backend}, {kind} ({len(inner)}): {', '.join(inner)}"


def run(
    backends: dict[str, Functions], methods: Sequence[str] | None, names: Sequence[str] | None, out: Path | None
) -> list[Outcome]:
    """The outcomes of all functions and methods asked for; written to `out` after every function.

    Raises:
        JetbenchError: there is no such method or function.
    """
    plan = []
    for backend, held in backends.items():
        entries, able = chosen(held, names), _able(backend, methods, is_only=len(backends) == 1)
        plan += [(held, backend, *entry, able) for entry in entries if able]
    if not plan:
        raise JetbenchError(f"No backend has a method called {', '.join(methods or ())}; see `jetbench list methods`.")
    if out is not None:
        table.write([], out)  # a folder that cannot be written to is found now
    outcomes: list[Outcome] = []
    for number, (held, backend, kind, name, function, able) in enumerate(plan, 1):
        with _unlogged():  # folx logs a traceback for every function that it refuses
            new = list(judged(held, backend, kind, name, function, able))
        outcomes += new
        not_ok = ", ".join(f"{o.method} {o.status}" for o in new if o.status != "ok")
        print(f"[{number}/{len(plan)}] {backend} {name}: {not_ok or 'ok'}", file=sys.stderr)
        if out is not None:
            table.write(outcomes, out)
    return outcomes


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _able(backend: str, methods: Sequence[str] | None, is_only: bool) -> dict[str, Method]:
    """The methods asked for that a backend has and can run; where it is the only backend, it must have all of them."""
    known = functions(backend)[1]
    asked = known_names(known, methods) if is_only else [m for m in methods or known if m in known]
    reasons = {method: refusal(known[method]) for method in asked}
    for method, reason in reasons.items():
        if reason:
            print(f"{backend} {method} is left out: {reason}", file=sys.stderr)
    return {method: known[method] for method, reason in reasons.items() if not reason}


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each outcome that is wrong, and for the first that are unsupported."""
    wrong = [o for o in outcomes if o.status == "wrong"]
    refused = [o for o in outcomes if o.status == "unsupported"]
    lines = [f"wrong: {o.backend} {o.method} {o.function}: {o.reason}" for o in wrong]
    lines += [f"unsupported: {o.backend} {o.method} {o.function}: {o.reason}" for o in refused[:REASONS_SHOWN]]
    if len(refused) > REASONS_SHOWN:
        lines.append(f"and {len(refused) - REASONS_SHOWN} more unsupported; --out FOLDER writes all of them.")
    return lines


if __name__ == "__main__":
    sys.exit(main())
