"""The registry of findings, and how their numbers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jetbench.report import labels
from jetbench.report.tables import Data


@dataclass(frozen=True)
class Finding:
    """A question with its answer: `figure` names the figure, `sentence` gives the answer, or None without records."""

    name: str
    question: str
    figure: str
    sentence: Callable[[Data], str | None]


FINDINGS: dict[str, Finding] = {}


def finding(name: str, question: str) -> Callable[[Callable[[Data], str | None]], Callable[[Data], str | None]]:
    """Register the decorated function as the sentence of the finding `name`, whose figure has the same name."""

    def decorate(sentence: Callable[[Data], str | None]) -> Callable[[Data], str | None]:
        FINDINGS[name] = Finding(name, question, name, sentence)
        return sentence

    return decorate


def told(data: Data) -> dict[str, str]:
    """Name → sentence of the findings that the records show."""
    sentences = {name: found.sentence(data) for name, found in FINDINGS.items()}
    return {name: sentence for name, sentence in sentences.items() if sentence}


def interval(value: float, low: float, high: float) -> str:
    """A ratio with its interval where it has one."""
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return labels.ratio_text(value)
    return f"{labels.ratio_text(value)} [{labels.ratio_text(low)}, {labels.ratio_text(high)}]"


def listed(parts: Iterable[str]) -> str:
    """Parts of a sentence joined by commas and a last "and"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def method_phrase(series: str) -> str:
    """A method's name within a sentence: only the first letter changes, and not in abbreviations."""
    name = labels.series_label(series)
    return name if name[:2].isupper() else name[:1].lower() + name[1:]


def operator_phrase(operator: str) -> str:
    """An operator's name within a sentence; those that begin with a person's name keep their capital."""
    name = labels.operator_label(operator)
    return name[:1].lower() + name[1:] if operator in COMMON else name


COMMON = ("biharmonic", "triharmonic", "weighted_laplacian", "mixed_partial", "anisotropic_plate", "heat", "wave")


def where(data: Data) -> str:
    """The machine, to end a sentence with."""
    return f"on {data.records.machine.iloc[0]}" if len(data.records) else "nowhere"
