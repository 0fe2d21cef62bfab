r"""What the paper has to fulfil: no number typed by hand, no undefined reference, no wide table, figures cited.

Which digits may stand in the source is a rule, not a list of exceptions:

- in text: years from 1900 to 2099, and names that a number ends (float64, TF32);
- in mathematics: indices in subscripts, 0 and 1, and whole numbers below 10 as exponents and coefficients have them;
  but not where the formula is nothing but a quantity (`$3$`, `$2\times$`, `$>5$`), nor set equal to anything but an
  order or an index (`$D = 5$`);
- arguments of commands that are not prose (labels, citations, lengths, names of values).

Whatever else is a quantity and comes from values.tex. The same holds for number words before what only quantities have
("three times", "half the time").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

OVERFULL_PT = 5.0
#: Commands with arguments that are not prose, and how many.
ARGUMENTS = {
    **dict.fromkeys(["cite", "citet", "citep", "ref", "cref", "Cref", "eqref", "label", "input", "url", "texttt"], 1),
    **dict.fromkeys(["val", "finding", "resulttable", "ifresult", "href", "vspace", "hspace"], 1),
    **dict.fromkeys(["bibliography", "bibliographystyle", "begin", "end", "includegraphics", "nolinkurl"], 1),
    **dict.fromkeys(["resultfigure", "setlength", "addtolength", "setcounter", "newcommand", "renewcommand"], 2),
}
MATH = re.compile(
    r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]"
    r"|\\begin\{(?P<env>equation|align|gather|multline)\*?\}(.+?)\\end\{(?P=env)\*?\}",
    re.DOTALL,
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NAMES = re.compile(r"\b[A-Za-z]+\d+\b|\b(?:19|20)\d\d\b")
#: Letters that may be set equal to a number: orders and indices.
INDICES = "Kkmijrnstab"
WORDS = (
    r"(?:half|third|quarter|twice|double|triple|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|"
    r"thirty|forty|fifty|hundred|thousand)"
)
QUANTITY = re.compile(
    rf"\b{WORDS}(?:\s+(?:and|a|an|of|or|to|{WORDS}))*[\s~-]+"
    r"(?:times|fold|percent|per\s+cent|as\s+(?:fast|slow|much|many|long|large|cheap)|the\s+(?:time|memory|cost|vectors)|"
    r"faster|slower|cheaper|larger|smaller|seconds|milliseconds)\b",
    re.IGNORECASE,
)


def source(text: str) -> list[str]:
    """Complaints about the source: numbers typed by hand, tables typed by hand, figures that are not cited."""
    return [*typed_numbers(text), *_typed_tables(text), *_uncited(text)]


def without_comments(text: str) -> str:
    """The source without comments; the lines stay."""
    return re.sub(r"(?<!\\)%.*", "", text)


def body(text: str) -> str:
    """What stands between \\begin{document} and \\end{document}, with the lines before it empty."""
    text = without_comments(text)
    start, end = text.find(r"\begin{document}"), text.find(r"\end{document}")
    if start < 0:
        return text
    return "\n" * text[:start].count("\n") + text[start : end if end > 0 else len(text)]


def used_values(text: str) -> list[str]:
    """Names of the values in the text, each once, in order."""
    return list(dict.fromkeys(re.findall(r"\\val\{([^}]*)\}", without_comments(text))))


def typed_numbers(text: str) -> list[str]:
    """A complaint with its line for every number in the source that should come from values.tex."""
    found: list[tuple[int, str]] = []
    prose = _without_arguments(body(text))

    def formula(match: re.Match) -> str:
        whole = match.group(0)
        found.extend((match.start(), excerpt) for excerpt in _in_formula(whole))
        return " " + "\n" * whole.count("\n") + " " * (len(whole) - whole.count("\n") - 1)

    plain = MATH.sub(formula, prose)
    plain = NAMES.sub(lambda m: " " * len(m.group(0)), plain)
    found += [(m.start(), _around(plain, m)) for m in NUMBER.finditer(plain)]
    found += [(m.start(), " ".join(m.group(0).split())) for m in QUANTITY.finditer(plain)]
    lines = [(prose[:start].count("\n") + 1, excerpt) for start, excerpt in sorted(found)]
    return [
        f"main.tex:{line}: typed by hand: {excerpt!r}. Take it from values.tex, by \\val." for line, excerpt in lines
    ]


def _in_formula(formula: str) -> Iterator[str]:
    told = " ".join(formula.split())
    bare = re.sub(
        r"\\(?:times|approx|sim|le|ge|leq|geq|pm|cdot|%|,|;|!|percent|mathrm|text)|\\begin\{\w+\*?\}", "", formula
    )
    bare = re.sub(r"\\end\{\w+\*?\}", "", bare)
    bare = re.sub(r"_(?:\w|\{\w+\})", "", bare)
    numbers = [number for number in NUMBER.findall(bare) if number not in ("0", "1")]
    if any(len(number) > 1 for number in numbers) or (numbers and not re.search(r"[A-Za-z\\]", bare)):
        yield told
    else:
        for match in re.finditer(r"([A-Za-z]+|[})])\s*=\s*[2-9]\s*(?=$|[$,;.\\)\]])", bare):
            if match.group(1) not in [*INDICES, "}", ")"]:
                yield told


def _around(text: str, match: re.Match) -> str:
    return " ".join(text[max(0, match.start() - 20) : match.end() + 20].split())


def _without_arguments(text: str) -> str:
    """The text with arguments that are not prose blanked, everything else at its place."""

    def blank(start: int, end: int) -> None:
        characters[start:end] = [c if c == "\n" else " " for c in characters[start:end]]

    characters = list(text)
    for match in re.finditer(r"\\([A-Za-z]+)\*?", text):
        position = match.end()
        for _ in range(ARGUMENTS.get(match.group(1), 0)):
            while position < len(text) and text[position] == "[":
                end = _closing(text, position, "[", "]")
                blank(position, end)
                position = end
            if position >= len(text) or text[position] != "{":
                break
            end = _closing(text, position, "{", "}")
            if match.group(1) not in ("begin", "end"):
                blank(position, end)
            position = end
    return "".join(characters)


def _closing(text: str, start: int, opening: str, closing: str) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == opening) - (text[position] == closing)
        if depth == 0:
            return position + 1
    return len(text)


def _typed_tables(text: str) -> Iterator[str]:
    for match in re.finditer(r"\\begin\{(tabular|longtable|array)[*x]?\}", body(text)):
        line = body(text)[: match.start()].count("\n") + 1
        yield f"main.tex:{line}: a {match.group(1)} is typed by hand. Tables come from \\resulttable."


def _uncited(text: str) -> Iterator[str]:
    inside = body(text)
    cited = {name.strip() for group in re.findall(r"\\[cC]?ref\{([^}]*)\}", inside) for name in group.split(",")}
    for kind, prefix in (("resultfigure", "fig"), ("resulttable", "tab")):
        for name in dict.fromkeys(re.findall(rf"\\{kind}\{{(\w+)\}}", inside)):
            if f"{prefix}:{name}" not in cited:
                yield f"main.tex: {prefix}:{name} is not cited."


def log(text: str) -> list[str]:
    """Complaints from LaTeX's log: undefined references and citations, and boxes that stick out by more than 5 pt."""
    joined = re.sub(r"(?<=.{79})\n", "", text)
    found = re.findall(r"LaTeX Warning: (?:Reference|Citation) `?[^ ]+ .*?undefined", joined)
    found += re.findall(r"Package natbib Warning: Citation .*?undefined", joined)
    found += [
        line
        for line, size in re.findall(r"(Overfull \\hbox \(([\d.]+)pt too wide\).*)", text)
        if float(size) > OVERFULL_PT
    ]
    return [f"LaTeX: {line}" for line in dict.fromkeys(found)]
