"""The tables, one module a kind. A function of `Data` that `registry.table` decorates is found by itself."""
