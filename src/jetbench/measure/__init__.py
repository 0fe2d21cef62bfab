"""Measurement: from a validated config to records, one JSON object a line. One concern a module; no framework here.

`case` says what is measured, `supervisor` starts a `worker` process for it, the worker takes a backend
(`jetbench.measure.backends`) through the protocol with the `clock`, and `records` keeps what came out.
"""
