"""Building the paper: generated values, tables and figures beside its sources, then latexmk, then the checks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from paper.tools import check
from paper.tools.values import COUNTED, Value, values

from jetbench.errors import JetbenchError
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.registry import FIGURES, TABLES
from jetbench.report.tables.layout import Table, escape

SOURCES = Path(__file__).resolve().parents[1]
#: What of wide tables fits the page.
COLUMNS = {
    "main": "operator per method time time_ratio time_published memory_differentiable_ratio"
    " memory_differentiable_published memory_nondifferentiable_ratio memory_nondifferentiable_published",
    "dimension": "operator dim method vectors over_floor_vectors time_over_floor time_over_nested"
    " memory_differentiable_mib memory_nondifferentiable_mib mode",
}


def build(data: Data, out: Path, work: Path, sources: Path = SOURCES, results: Path | None = None) -> list[str]:
    """Write the PDF to `out`, working in the folder `work`; what the checks complain about (the PDF is written anyway).

    Raises:
        JetbenchError: latexmk is not installed, the sources are missing, or LaTeX failed.
    """
    if not (sources / "main.tex").is_file():
        raise JetbenchError(f"There is no main.tex in {sources}. Give the folder of the paper's sources by --sources.")
    if shutil.which("latexmk") is None:
        raise JetbenchError(
            "latexmk is not installed, so the paper is not built. On Debian: apt-get install latexmk"
            " texlive-latex-recommended texlive-latex-extra texlive-science texlive-fonts-recommended lmodern."
        )
    work.mkdir(parents=True, exist_ok=True)
    text = (sources / "main.tex").read_text(encoding="utf-8")
    complaints = check.source(text)
    generate(data, text, work / "generated", results)
    for path in sources.iterdir():
        if path.suffix in (".tex", ".bib", ".sty"):
            shutil.copyfile(path, work / path.name)
    _latexmk(work)
    log = (work / "main.log").read_text(encoding="utf-8", errors="replace")
    complaints += check.log(log)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(work / "main.pdf", out)
    return complaints


def generate(data: Data, text: str, folder: Path, results: Path | None = None) -> dict[str, Value]:
    """Write values.tex, origins.tex, and the tables and figures that the text names, into `folder`; the values."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = values(data, results)
    for name in _named(text, "resulttable"):
        made = TABLES.make(name, data)
        if len(made.frame):
            made = _eager(made) if name == "dimension" else made
            made = made.only(_columns(name, "machine/is-gpu" in found)) if name in COLUMNS else made
            made.write(folder / "tables" / f"{name}.tex")
            found[f"table/{name}"] = Value("", "generated")
    with style.settings():
        for name in _named(text, "resultfigure"):
            try:
                drawn = FIGURES.make(name, data)
            except NoData:
                continue
            style.save(drawn, folder / "figures" / f"{name}.pdf")
            found[f"figure/{name}"] = Value("", "generated")
    lines = ["% Generated from the records by paper/tools; edits are lost."]
    lines += [rf"\jetbenchvalue{{{name}}}{{{value.tex}}}% {value.source}" for name, value in found.items()]
    (folder / "values.tex").write_text("\n".join(lines) + "\n", encoding="utf-8")
    used = [name for name in check.used_values(text) if name in found]
    (folder / "origins.tex").write_text(_origins({name: found[name] for name in used}), encoding="utf-8")
    return found


def _eager(made: Table) -> Table:
    """A table without its compiled rows, if there are others: they fill a page."""
    eager = made.frame[made.frame["mode"] == "eager"]
    return replace(made, frame=eager.reset_index(drop=True)) if len(eager) else made


def _columns(name: str, gpu: bool) -> list[str]:
    """The columns that are shown of a wide table; absolute times only of a GPU."""
    return [column for column in COLUMNS[name].split() if gpu or column != "time"]


def _named(text: str, command: str) -> list[str]:
    """The names of figures or tables that the text asks for.

    Raises:
        JetbenchError: there is no such figure or table.
    """
    names = list(dict.fromkeys(re.findall(rf"\\{command}\{{(\w+)\}}", check.without_comments(text))))
    known = FIGURES if command == "resultfigure" else TABLES
    if wrong := [name for name in names if name not in known]:
        raise JetbenchError(f"The paper asks for {wrong[0]!r}, which is none of {', '.join(known)}.")
    return names


def _origins(used: Mapping[str, Value]) -> str:
    r"""A longtable of the values used, by origin, without counted ones and findings, which name their figure."""
    by_origin: dict[str, list[str]] = {}
    for name, value in used.items():
        if value.tex and value.source != COUNTED and not name.startswith("finding/"):
            by_origin.setdefault(value.source, []).append(rf"\mbox{{\nolinkurl{{{name}}} {value.tex}}}")
    # Paths may be broken where they have a slash or a hyphen.
    origins = {origin: escape(origin).replace("/", r"/\allowbreak{}") for origin in by_origin}
    rows = [rf"{origins[origin]} & {'; '.join(told)} \\ \addlinespace[2pt]" for origin, told in by_origin.items()]
    head = r"\toprule origin & names and values \\ \midrule\endhead"
    ragged = r">{{\raggedright\arraybackslash}}p{{{}\textwidth}}"
    columns = "{@{}" + "".join(ragged.format(width) for width in (0.3, 0.64)) + "@{}}"
    # A longtable takes a number even without a caption.
    end = r"\bottomrule\end{longtable}\addtocounter{table}{-1}"
    return "\n".join([rf"\begin{{longtable}}{columns}", head, *rows, end]) + "\n"


def _latexmk(work: Path) -> None:
    """Run latexmk without dates in what it makes, so that the same records give the same file."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "main.tex"]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode:
        wrong = [line for line in done.stdout.splitlines() if re.match(r"^(\./)?\S+:\d+: |^! ", line)]
        told = wrong[0] if wrong else (done.stdout + done.stderr).strip()[-300:]
        raise JetbenchError(f"LaTeX could not build the paper: {told} (all of it: {work / 'main.log'}).")
