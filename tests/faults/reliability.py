"""docs/reliability.md: which faults the tests of this folder inject, and the page that their observations make.

`python tests/faults/reliability.py FOLDER` prints the page from what a run of the tests left in FOLDER.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
FOLDER = "JETBENCH_OBSERVATIONS"  # the variable that names where observations are to be left
DEATHS = ("SIGKILL", "segfault", "os._exit")
STAGES = ("compile", "warm-up", "sampling", "writing")

CATALOGUE: dict[str, tuple[str, ...]] = {
    "The measuring process": (
        *(f"killed by {death} in {stage}" for death in DEATHS for stage in STAGES),
        "a call hangs in native code past the limit",
        "the supervisor is killed while a call hangs in native code",
        "the supervisor is killed while it writes a record",
        "a file in the working directory is called like a module",
    ),
    "Memory": (
        "no memory on the CPU (limit of the address space)",
        "no memory on the GPU (simulated: torch.OutOfMemoryError)",
    ),
    "Snakemake": (
        "Snakemake and all its jobs killed by SIGKILL",
        "the folder locked by a Snakemake that was killed",
        "Snakemake interrupted by SIGINT",
    ),
    "Interruptions": (
        *(f"{number} while the command is loaded" for number in ("SIGINT", "SIGTERM")),
        *(f"{number} while it waits for the device" for number in ("SIGINT", "SIGTERM")),
        *(f"{number} while the measuring process starts" for number in ("SIGINT", "SIGTERM")),
        *(f"{number} while a call hangs in native code" for number in ("SIGINT", "SIGTERM")),
    ),
    "Disk": (
        "the disk is full when a record is written",
        "the disk is full when the collected table is written",
        "the results folder is read-only",
    ),
    "Records": (
        "a record truncated",
        "a record garbled",
        "a record twice",
        "a record of a foreign version",
        "a record with NaN for its time",
        "a record of a thousand nested lists",
        "machine.json garbled",
    ),
    "Two at once, clocks, other machines": (
        "two sweeps at once on one device",
        "two sweeps at once on two devices",
        "the wall clock goes backwards between two points",
        "the clock of the samples goes backwards",
        "another GPU or processor under way",
        "another driver under way",
        "another version of a package under way",
    ),
    "Missing dependencies": (
        "no torch: what needs it",
        "no torch: what does not need it",
        "no jax",
        "no C++ compiler for torch.compile",
        "no LaTeX",
    ),
}
#: Bad inputs → how many are tried at least.
TRIED: dict[str, int] = {
    "values of a config": 2500,
    "texts of a config: YAML and JSON": 300,
    "the command line": 3250,
    "the public API": 1200,
    "lines of records, and tables": 1500,
}
HEAD = """# Reliability

Each row is a fault that a test in `tests/faults` injects, what the user then sees, and what is lost. `make
reliability` runs these tests and writes this page from what they observe; every run of the tests compares the two.
After each of these faults, running the same command again continues; recorded points are not measured again.
[Clusters](cluster.md) describes what happens to jobs on a cluster that are cancelled, drained or out of time.
"""
INPUTS = """## Invalid input

Each invalid input produces one line on the standard error that names the value and states what is allowed, with exit
status 2 and without a traceback; nothing is written. In Python it raises `ValueError`, `TypeError` or `JetbenchError`
with such a message. Results are read as JSON, Parquet and CSV and never unpickled, YAML with the safe loader. Names
of machines, studies and curves cannot leave the results folder, and an operators file runs only when a command or
config names it. Hypothesis draws the inputs; the parsers (libyaml, json, Arrow) are compiled, so that a fuzzer guided
by the coverage of Python code, such as atheris, would cover little of them.
"""


def row(fault: str, sees: str, lost: str) -> str:
    """A line of the page."""
    return f"| {fault} | {sees} | {lost} |"


def plain(text: str, folder: Path) -> str:
    """What a user saw, without what differs from run to run."""
    text = " ".join(text.split()).replace(str(folder), "…").replace("|", "/")
    text = re.sub(r"process \d+", "process N", text)
    text = re.sub(r"…?/[\w./-]*/(?=[\w.-]+)", "…/", text)
    return re.sub(r"after [\d.]+ s", "after N s", text)


def page(observations: dict[str, str]) -> str:
    """The whole page.

    Args:
        observations: fault → its line.

    Raises:
        KeyError: a fault of the catalogue was not observed.
    """
    parts = [HEAD]
    for section, faults in CATALOGUE.items():
        lines = [observations[fault] for fault in faults]
        parts.append(
            "\n".join([f"## {section}\n", "| fault | the user sees | lost |", "| --- | --- | --- |", *lines, ""])
        )
    counts = [f"| {what} | {count:,} |" for what, count in TRIED.items()]
    total = f"| together | {sum(TRIED.values()):,} |"
    parts.append("\n".join([INPUTS, "| bad inputs | tried, at least |", "| --- | --- |", *counts, total, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(sys.argv[1]).glob("*.json"))]
    print(page(dict(found)), end="")
