"""How findings and the paper write numbers and names within sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable

from jetbench.report import labels
from jetbench.report.data import Data
from jetbench.report.registry import FINDINGS


def answers(data: Data) -> dict[str, str]:
    """Name → sentence of the findings that the records show."""
    sentences = {name: finding.make(data) for name, finding in FINDINGS.items()}
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
