"""Synthetic records with known costs, in the schema that the measuring part writes, for the tests of the report."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

MACHINE_ID = "0123abcd"
#: Seconds, and bytes, that one vector of one datum costs, and what every call costs besides.
SECONDS, OVERHEAD, BYTES, BASE_BYTES = 2e-5, 1e-3, 40_000, 3_000_000
#: The relative error that a single random direction leaves.
SAMPLING = 0.2
#: What nested costs, in vectors of a forward method, relative to standard Taylor mode.
NESTED = 1.2
METHODS = ("nested", "taylor", "collapsed")
NETWORK = {"network": "mlp", "widths": [768, 768, 512, 512], "activation": "tanh", "outputs": 1, "network_seed": 0}


def vectors(operator: str, dim: int, method: str, directions: int) -> int:
    """Vectors per datum: 1 + K R, 1 + (K-1) R + 1, or the apolar count; with products by zeros for stock jet."""
    order = {"biharmonic": 4}.get(operator, 2)
    if method == "apolar" and order == 4:
        return 2 + 2 * dim + dim * (dim + 1) // 2
    if method == "jax_jet":
        return 1 + order + directions * order * (order + 1) // 2
    if method in ("collapsed", "forward_laplacian", "apolar", "folx"):
        return 1 + (order - 1) * directions + 1
    return 1 + order * directions


def record(
    operator: str = "laplacian",
    dim: int = 50,
    method: str = "collapsed",
    mode: str = "eager",
    study: str = "batch",
    axis: str = "batch",
    value: float = 8,
    batch: int = 32,
    samples: int | None = None,
    rank: int | float | None = None,
    scheme: str = "polarization",
    **changes: object,
) -> dict:
    """One ok record; its time is OVERHEAD + SECONDS x batch x vectors (times NESTED for nested), exactly.

    `changes` replace fields.
    """
    batch = int(value) if axis == "batch" else batch
    samples = int(value) if axis == "samples" else samples
    rank = int(value) if axis == "rank" else rank
    dim = int(value) if axis == "dimension" else dim
    order = 4 if operator == "biharmonic" else 2
    exact = samples is None
    count = dim * dim if scheme == "polarization" else (3 * dim * dim - dim) // 2
    count = count if order == 4 else (dim if rank is None else rank if isinstance(rank, int) else round(rank * dim))
    directions = count if exact else samples
    network = dict(NETWORK)
    if axis == "width":
        network["widths"] = [int(value)] * 4
    if axis == "depth":
        network["widths"] = [768] * int(value)
    number = vectors(operator, dim, method, directions)
    scale = (NESTED if method.startswith("nested") else 1.0) * (0.8 if mode == "compiled" else 1.0)
    load = batch * number * sum(network["widths"]) / 2560
    time = (OVERHEAD + SECONDS * load) * scale
    least = min(
        number, vectors(operator, dim, "apolar" if exact else "collapsed", dim if order == 4 and exact else directions)
    )
    floor = SECONDS * batch * least * sum(network["widths"]) / 2560
    kept = scale * (BASE_BYTES + BYTES * load)
    made = {
        "backend": "torch",
        "operator": operator,
        "operator_options": {} if rank is None else {"rank": rank},
        "dim": dim,
        "estimator": "exact" if exact else "normal",
        "samples": samples,
        "method": method,
        "method_version": 1,
        "directions": scheme if order > 2 and exact else None,
        **network,
        "mode": mode,
        "dtype": "float64",
        "batch": batch,
        "device": "cpu",
        "study": study,
        "axis": axis,
        "axis_value": value,
        "status": "ok",
        "reason": None,
        "vectors": number,
        "order": order,
        "time_s": time,
        "time_interval_s": [0.98 * time, 1.03 * time],
        "time_min_s": 0.97 * time,
        "time_samples_s": [0.97 * time, time, 1.05 * time],
        "stable": True,
        "warnings": [],
        "first_call_s": 2 * time,
        "floor_vectors": least,
        "floor_s": floor,
        "floor_samples_s": [floor] * 3,
        "time_over_floor": time / floor,
        "time_over_floor_interval": [0.98 * time / floor, 1.03 * time / floor],
        "own_floor_s": None if method.startswith("nested") else floor * number / least,
        "time_over_own_floor": None if method.startswith("nested") else time / (floor * number / least),
        "gradient_time_s": 3 * time,
        "gradient_time_interval_s": [2.9 * time, 3.1 * time],
        "gradient_time_samples_s": [3 * time] * 3,
        "peak_memory_bytes": {"differentiable": int(3 * kept), "nondifferentiable": int(kept), "source": "synthetic"},
        "flops": 2_000_000 * batch * number,
        "network_flops": 2_000_000 * batch,
        "relative_error": 3e-15,
        "sampling_error": None if exact else SAMPLING / samples**0.5,
        "machine": MACHINE_ID,
        "started_at": "2026-01-01T00:00:00+00:00",
        "duration_s": 1.5,
        "threads": 2,
    }
    if not exact and method == "apolar":
        made |= failure("unsupported", "The apolar method evaluates operators exactly; it draws no directions.")
    made |= changes
    made["key"] = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    return made


MEASURED = (
    *("time_s", "time_interval_s", "time_min_s", "time_over_floor", "time_over_floor_interval", "floor_s"),
    *("own_floor_s", "time_over_own_floor", "gradient_time_s", "gradient_time_interval_s", "first_call_s"),
    *("flops", "relative_error", "sampling_error"),
)


def failure(status: str, reason: str) -> dict:
    """The fields of a record that was not measured."""
    return {"status": status, "reason": reason, "time_samples_s": [], "peak_memory_bytes": None} | dict.fromkeys(
        MEASURED
    )


def sweep(methods: tuple[str, ...] = METHODS, modes: tuple[str, ...] = ("eager", "compiled")) -> list[dict]:
    """The studies of the paper and some beyond it, with several schemes for the biharmonic."""
    made = []
    for mode in modes:
        for method in methods:
            schemes = ["polarization", "griewank"] if method in ("taylor", "collapsed") else ["polarization"]
            for value in (1, 8, 32, 64):
                made.append(record("laplacian", 50, method, mode, value=value))
                made += [record("weighted_laplacian", 50, method, mode, value=value, rank=r) for r in (50, 25, 5)]
                made += [record("biharmonic", 5, method, mode, value=value, scheme=s) for s in schemes]
            for value in (1, 4, 16, 48):
                made.append(record("laplacian", 50, method, mode, "samples", "samples", value))
                made.append(record("biharmonic", 5, method, mode, "samples", "samples", value, batch=16))
            for value in (5, 15, 25, 50):
                made.append(record("weighted_laplacian", 50, method, mode, "rank", "rank", value))
            made += [record("laplacian", 50, method, mode, "width", "width", v) for v in (128, 512, 1024)]
            made += [record("laplacian", 50, method, mode, "depth", "depth", v) for v in (2, 4, 8)]
            for value in (2, 5, 10, 20):
                made.append(record("laplacian", value, method, mode, "dimension", "dimension", value))
                made.append(record("biharmonic", value, method, mode, "dimension", "dimension", value))
    return made


def write(records: list[dict], results: Path, machine: str = "cpu-test") -> Path:
    """Write records as the measuring part does: results/<machine>/<study>/<curve>.jsonl and machine.json."""
    by_file = defaultdict(list)
    for made in records:
        stem = "-".join(str(made[name]) for name in ("backend", "operator", "dim", "estimator", "method", "mode"))
        by_file[made["study"], stem].append(json.dumps(made))
    for (study, stem), lines in by_file.items():
        path = results / machine / study / f"{stem}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    described = {MACHINE_ID: {"cpu": {"name": "Synthetic CPU"}, "gpu": None}}
    (results / machine).mkdir(parents=True, exist_ok=True)
    (results / machine / "machine.json").write_text(json.dumps(described), encoding="utf-8")
    return results
