"""All figures: importing this module registers each of them."""

from jetbench.report import curves, hilbert, overview, scatter, standard_taylor
from jetbench.report.figures import FIGURES, make, write

__all__ = ["FIGURES", "curves", "hilbert", "make", "overview", "scatter", "standard_taylor", "write"]
