"""All figures: importing this module registers each of them."""

from jetbench.report import curves, overview, scatter
from jetbench.report.figures import FIGURES, make, write

__all__ = ["FIGURES", "curves", "make", "overview", "scatter", "write"]
