"""All figures: importing this module registers each of them."""

from jetbench.report import curves, findings, hilbert, overview, redrawn, scatter, standard_taylor
from jetbench.report.figures import FIGURES, make, write

__all__ = [
    "FIGURES",
    "curves",
    "findings",
    "hilbert",
    "make",
    "overview",
    "redrawn",
    "scatter",
    "standard_taylor",
    "write",
]
