"""The command `python -m fuzz.collapse`: random functions against their collapsed form; see --help."""

from __future__ import annotations

import argparse
import importlib
import sys


def main() -> int:
    """Compare the functions; the exit status is 1 if one is wrong."""
    parser = argparse.ArgumentParser(
        prog="fuzz.collapse",
        description="Compare random networks and operators with what `collapse` makes of them: values, gradients and "
        "counts of operations.",
    )
    parser.add_argument("--backend", choices=("torch", "jax"), default="torch")
    parser.add_argument("--cases", type=int, default=200, help="How many functions to compare.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first one.")
    options = parser.parse_args()
    if options.backend == "jax":
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    compare = importlib.import_module(f"fuzz.collapse.{options.backend}").compare
    wrong = 0
    for number in range(options.first, options.first + options.cases):
        problem = compare(number)
        if problem is not None:
            wrong += 1
            print(f"{number}: {problem}", flush=True)
    print(f"{options.cases} functions compared, {wrong} of them wrong.")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
