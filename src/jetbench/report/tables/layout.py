"""How a table is written: as CSV with every digit, as Markdown, and as a LaTeX tabular for booktabs and siunitx.

What the tables show is in the other modules of this folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from tabulate import tabulate

SUFFIXES = (".csv", ".md", ".tex")
ABSENT = "–"
#: An uncertainty of less than this many units of the last digit is rounding: the value is exact.
NEGLIGIBLE = 1e-3
TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "—": "---",
    "→": r"$\to$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "Δ": r"$\Delta$",
    "∂": r"$\partial$",
    "ξ": r"$\xi$",
    **{c: rf"\textsubscript{{{i}}}" for i, c in enumerate("₀₁₂₃₄")},
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "⁴": r"\textsuperscript{4}",
    "’": "'",
    "“": "``",
    "”": "''",
}


@dataclass(frozen=True)
class Field:
    """A column of a table. `interval`: the frame also has `<key>_low`, `<key>_high`. `group`: a shared header."""

    key: str
    header: str
    kind: str = "number"  # text, integer, number, error (a power of ten)
    group: str = ""
    interval: bool = False


#: Columns of several tables.
OPERATOR, PER, MODE = Field("operator", "Operator", "text"), Field("per", "Per", "text"), Field("mode", "Mode", "text")
METHOD, BATCH = Field("method", "Method", "text"), Field("batch", "Batch", "integer")


@dataclass(frozen=True)
class Table:
    """A finished table: rows in order; a change in the column `block` starts a new block of rows."""

    title: str
    fields: list[Field]
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    block: str | None = None
    #: Whether it runs over pages; in LaTeX it is then a longtable.
    long: bool = False

    @classmethod
    def of(cls, title: str, fields: list[Field], rows: list[dict], notes: list[str]) -> Table:
        """The table of these rows, each with the value `block`; with all its columns also where there are none."""
        return cls(title, fields, pd.DataFrame(rows, columns=[*_names(fields), "block"]), notes, "block")

    def write(self, path: Path) -> list[Path]:
        """Write path.csv, path.md and path.tex, or only the one named by the suffix of `path`; the paths written."""
        chosen = [path.suffix] if path.suffix in SUFFIXES else list(SUFFIXES)
        stem = path.with_suffix("") if path.suffix in SUFFIXES else path
        path.parent.mkdir(parents=True, exist_ok=True)
        written = [stem.with_name(stem.name + suffix) for suffix in chosen]
        text = {".csv": self.csv, ".md": self.markdown, ".tex": self.latex}
        for target in written:
            target.write_text(text[target.suffix](), encoding="utf-8")
        return written

    def only(self, keys: list[str]) -> Table:
        """The table with these columns alone, those of them that it has, in its own order."""
        return replace(self, fields=[f for f in self.fields if f.key in keys])

    def csv(self) -> str:
        """All digits; intervals as two more columns."""
        return self.frame.reindex(columns=_names(self.fields)).to_csv(index=False)

    def markdown(self) -> str:
        """A pipe table under its title, followed by the notes."""
        header = [f"{f.group}: {f.header}" if f.group else f.header for f in self.fields]
        cells = [[_plain(f, row).replace("|", "\\|") for f in self.fields] for _, row in self.frame.iterrows()]
        sides = ["left" if f.kind == "text" else "right" for f in self.fields]
        rows = tabulate(cells, header, tablefmt="pipe", disable_numparse=True, colalign=sides) if cells else "No data."
        return "\n".join([f"**{self.title}**", "", rows, *(f"\n{note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """A tabular (or longtable) with S columns; intervals become symmetric uncertainties such as 0.583(31)."""
        environment = "longtable" if self.long else "tabular"
        cells = [[_siunitx(f, row) for f in self.fields] for _, row in self.frame.iterrows()]
        specs = [_column_spec(f, [row[i] for row in cells]) for i, f in enumerate(self.fields)]
        lines = [
            f"% {self.title}",
            "% needs booktabs and siunitx" + (" and longtable" if self.long else ""),
            rf"\begin{{{environment}}}{{{' '.join(specs)}}}",
            r"\toprule",
        ]
        lines += self._grouped_header()
        lines += [" & ".join(f"{{{escape(f.header)}}}" for f in self.fields) + r" \\", r"\midrule"]
        lines += [r"\endhead"] if self.long else []
        if not cells:
            lines.append(rf"\multicolumn{{{len(self.fields)}}}{{l}}{{No data}} \\")
        blocks = self.frame[self.block].tolist() if self.block and cells else [None] * len(cells)
        for number, row in enumerate(cells):
            if number and blocks[number] != blocks[number - 1]:
                lines.append(r"\addlinespace")
            elif number and not self.long:
                row = _without_repetition(self.fields, row, cells[number - 1])
            lines.append(" & ".join(row) + r" \\")
        return (
            "\n".join([*lines, r"\bottomrule", rf"\end{{{environment}}}", *(f"% {note}" for note in self.notes)]) + "\n"
        )

    def _grouped_header(self) -> list[str]:
        if not any(f.group for f in self.fields):
            return []
        cells, rules, start = [], [], 0
        while start < len(self.fields):
            end, group = start + 1, self.fields[start].group
            while group and end < len(self.fields) and self.fields[end].group == group:
                end += 1
            cells.append(rf"\multicolumn{{{end - start}}}{{c}}{{{escape(group)}}}" if group else "")
            rules += [rf"\cmidrule(lr){{{start + 1}-{end}}}"] if group else []
            start = end
        return [" & ".join(cells) + r" \\", " ".join(rules)]


def _names(fields: list[Field]) -> list[str]:
    """The columns of the frame that some fields need."""
    return [f"{f.key}{end}" for f in fields for end in (("", "_low", "_high") if f.interval else ("",))]


def _without_repetition(fields: list[Field], row: list[str], above: list[str]) -> list[str]:
    """The cells of a row without the leading words that stand above them already."""
    same = 0
    while same < len(row) - 1 and fields[same].kind == "text" and row[same] == above[same]:
        same += 1
    return [""] * same + row[same:]


def escape(text: str) -> str:
    """Text for pdfLaTeX: special characters escaped, unknown ones outside ASCII replaced by ?."""
    return "".join(TEX.get(c, c if c.isascii() and c.isprintable() else " " if c.isspace() else "?") for c in text)


def decimals(value: float, half: float = math.nan) -> int:
    """Digits behind the point: three significant ones of the value, but no more than two of its uncertainty."""
    wanted = 2 - _magnitude(value) if value else 2
    if math.isfinite(half) and half > 0:
        wanted = min(wanted, 1 - _magnitude(half))
    return min(max(wanted, 0), 9)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _words(column: Field, row: pd.Series, absent: str) -> str | None:
    """A cell that is written alike everywhere; None for a number with decimals."""
    value = row[column.key]
    if pd.isna(value):
        return absent
    if column.kind == "text":
        return " ".join(str(value).splitlines())
    return {"integer": "{:.0f}", "error": "{:.1e}"}[column.kind].format(value) if column.kind != "number" else None


def _plain(column: Field, row: pd.Series) -> str:
    if (words := _words(column, row, ABSENT)) is not None:
        return words
    places = decimals(row[column.key])
    text, *ends = (f"{row[name]:.{places}f}" for name in _names([column]))
    known = {*ends} - {text, "nan"}
    return f"{text} [{', '.join(ends)}]" if known else text


def _siunitx(column: Field, row: pd.Series) -> str:
    if (words := _words(column, row, "--" if column.kind == "text" else "{--}")) is not None:
        return escape(words) if column.kind == "text" and words != "--" else words
    value = row[column.key]
    half = math.nan
    if column.interval and not pd.isna(row[f"{column.key}_low"]):
        half = max(value - row[f"{column.key}_low"], row[f"{column.key}_high"] - value)
    places = decimals(value, half)
    uncertainty = f"({max(1, math.ceil(half * 10**places - 1e-9))})" if half * 10**places > NEGLIGIBLE else ""
    return f"{value:.{places}f}{uncertainty}"


def _column_spec(column: Field, cells: list[str]) -> str:
    if column.kind == "text":
        return "l"
    numbers = [c for c in cells if not c.startswith("{")]
    if column.kind == "error":
        return "S[table-format=1.1e-2]"
    bare = [n.split("(")[0] for n in numbers]
    whole = max((len(b.split(".")[0].lstrip("-")) for b in bare), default=1)
    places = max((len(b.partition(".")[2]) for b in bare), default=0)
    uncertain = max((len(n.partition("(")[2]) - 1 for n in numbers if "(" in n), default=0)
    sign = "-" if any(b.startswith("-") for b in bare) else ""
    fraction = f".{places}" if places else ""
    return f"S[table-format={sign}{whole}{fraction}{f'({uncertain})' if uncertain else ''}]"
