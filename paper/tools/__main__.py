"""Build the paper from the records: values, tables and figures, then LaTeX, then the checks. Needs latexmk.

From the root of the repository: python -m paper.tools --records results/records.parquet
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paper.tools.build import SOURCES, build

from jetbench.cli.report import data_of
from jetbench.errors import JetbenchError
from jetbench.report import collect
from jetbench.report.data import best_machine


def main(arguments: list[str] | None = None) -> int:
    """Build the paper; 0, 1 if a check fails (the PDF is written anyway), 2 if it cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m paper.tools", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--out", type=Path, default=SOURCES / "jetbench.pdf", help="PDF to write")
    add("--records", type=Path, default=Path("results/records.parquet"), help="collected table")
    add("--machine", help="machine whose records to use (default: the most capable one)")
    add("--published", type=Path, help="folder of the published numbers")
    add("--sources", type=Path, default=SOURCES, help="folder with main.tex")
    add("--results", type=Path, default=Path("results"), help="folder of the machines' descriptions")
    add("--work", type=Path, default=Path("build/paper"), help="folder to build in")
    given = parser.parse_args(arguments)
    try:
        machine = given.machine or best_machine(collect.load(given.records))
        data = data_of(given.records, machine, given.published)
        complaints = build(data, given.out, given.work, given.sources, given.results)
    except JetbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(given.out)
    print(*complaints, sep="\n", end="\n" if complaints else "", file=sys.stderr)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
