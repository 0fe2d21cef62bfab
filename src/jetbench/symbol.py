"""The earlier home of symbols, which still works: `from jetbench import variables` is the shorter way."""

from jetbench.operators.symbol import Symbol, variables

__all__ = ["Symbol", "variables"]
