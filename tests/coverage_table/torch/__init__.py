"""The functions of the coverage table in PyTorch, twins of those in `coverage_table.jax`."""

from __future__ import annotations

from coverage_table import kinds
from coverage_table.torch.evaluation import INEXACT, ORDERS, applied, plain, reference

__all__ = ["FUNCTIONS", "INEXACT", "ORDERS", "applied", "plain", "reference"]

FUNCTIONS = kinds.functions(__name__)
