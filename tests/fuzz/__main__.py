"""The command `python -m fuzz`: random programs against right values; see --help."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import Counter

from fuzz.judge import Verdict, numbered
from fuzz.shrink import shrunk

OUTCOMES = ("ok", "refused", "wrong", "crashed", "invalid")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description="Compare random programs with right values.")
    parser.add_argument("--cases", type=int, default=500, help="How many programs to run.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first one.")
    parser.add_argument("--backend", choices=("torch", "jax"), default="torch")
    parser.add_argument("--shrink", action="store_true", help="Make failing programs small before they are printed.")
    parser.add_argument("--quiet", action="store_true", help="Print one line for a failure in place of its program.")
    parser.add_argument("--most-refused", type=float, default=0.3, help="The share above which the run fails.")
    parser.add_argument("--refusals", action="store_true", help="Print refused programs, too.")
    return parser.parse_args()


def _told(verdict: Verdict, number: int, quiet: bool) -> str:
    line = f"{number}: {verdict.outcome}: {verdict.case.method}, {verdict.case.use}: {verdict.reason}"
    return line if quiet else f"{'-' * 100}\n{line}\n\n{verdict.program}\n"


def _reason(verdict: Verdict) -> str:
    return verdict.reason[:110]


def main() -> int:
    """Run the programs; the exit status is 1 if one fails, or if too many are refused."""
    given = _arguments()
    backend = importlib.import_module(f"fuzz.{given.backend}.backend")
    outcomes, refusals, start = Counter(), Counter(), time.monotonic()
    for done, number in enumerate(range(given.first, given.first + given.cases), 1):
        verdict = numbered(backend, number)
        outcomes[verdict.outcome] += 1
        if verdict.outcome == "refused":
            refusals[_reason(verdict)] += 1
        if verdict.is_failure or (given.refusals and verdict.outcome == "refused"):
            if given.shrink:
                verdict = shrunk(backend, verdict)
            print(_told(verdict, number, given.quiet), flush=True)
        if sys.stderr.isatty() or done % 100 == 0:
            end = "\r" if sys.stderr.isatty() else "\n"
            counts = ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name])
            print(f"{done} of {given.cases}: {counts} ({time.monotonic() - start:.0f} s)", end=end, file=sys.stderr)
    for reason, count in refusals.most_common():
        print(f"{count:6} refused: {reason}")
    print(f"{given.cases} programs: " + ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES))
    is_too_refusing = outcomes["refused"] > max(3, given.most_refused * given.cases)
    return int(bool(outcomes["wrong"] + outcomes["crashed"]) or is_too_refusing)


if __name__ == "__main__":
    sys.exit(main())
