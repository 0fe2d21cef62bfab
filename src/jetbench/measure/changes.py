"""What differs between two descriptions of a machine that can matter for a time: drivers, packages, flags, hardware.

The code of this project does not: methods have version numbers of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Part of a description → the names in it that can matter for a time. What else a description holds is not compared,
#: and neither is what only one of two descriptions holds: a new name leaves earlier records what they are.
SETTINGS: dict[str, tuple[str, ...]] = {
    "cpu": ("model", "cores", "memory_gib"),
    "gpus": ("name", "memory_bytes", "driver", "max_clock_mhz", "application_clock_mhz", "power_limit_w", "mig"),
    "versions": ("torch", "jax", "jaxlib", "numpy", "triton", "folx", "jet-for-pytorch"),
    "environment": (
        "OMP_NUM_THREADS",
        "OMP_PROC_BIND",
        "OMP_PLACES",
        "KMP_AFFINITY",
        "MKL_NUM_THREADS",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
        "CUBLAS_WORKSPACE_CONFIG",
        "NVIDIA_TF32_OVERRIDE",
        "PYTORCH_CUDA_ALLOC_CONF",
        "PYTORCH_ALLOC_CONF",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
        "TORCHINDUCTOR_FREEZING",
        "TORCHINDUCTOR_MAX_AUTOTUNE",
        "XLA_FLAGS",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
        "JAX_ENABLE_X64",
        "JAX_PLATFORMS",
        "JAX_DEFAULT_MATMUL_PRECISION",
        "NPROC",
    ),
    "backend": (
        *("threads", "interop_threads", "cpu_capability", "mkl", "mkldnn", "deterministic", "float32_matmul_precision"),
        *("cuda", "cudnn", "capability", "gpu"),
        *("platform", "enable_x64", "default_matmul_precision", "xla_flags", "memory_compiler_options"),
    ),
}
_SINGLE = ("device", "system", "python")
# How much of its host a GPU was given: another share for each of several GPUs, another for each job on a cluster.
_SHARE_OF_HOST = {
    "cpu": ("cores", "memory_gib"),
    "backend": ("threads", "interop_threads"),
    "environment": ("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "MKL_NUM_THREADS"),
}


def setting(description: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits for the settings of a description, a short name for them."""
    compared = json.dumps(_compared(description), sort_keys=True, default=str)
    return hashlib.sha256(compared.encode()).hexdigest()[:8]


def framework(description: Mapping[str, Any]) -> str:
    """Whose worker described the machine, torch or jax. Their flags have nothing in common, so only those of one
    framework are compared."""
    backend = description.get("backend")
    return "jax" if isinstance(backend, Mapping) and "platform" in backend else "torch"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ between two descriptions: the last part of a name → value before, value after.

    A variable of the environment that a description does not name was not set. Of everything else, what one of both
    does not name is not known there, and no difference.
    """
    before, after = dict(_leaves(_compared(old))), dict(_leaves(_compared(new)))
    names = [
        name
        for name in {**before, **after}
        if before.get(name) != after.get(name)
        and (name.startswith("environment.") or (name in before and name in after))
    ]
    return {name.rpartition(".")[2]: (before.get(name), after.get(name)) for name in names}


def sentence(known: Mapping[str, Any], description: Mapping[str, Any]) -> str | None:
    """What to tell before measuring into a folder that holds records of other settings; None where there are none.

    Args:
        known: the folder's descriptions, as machine.json holds them.
    """
    others = [
        each
        for each in known.values()
        if isinstance(each, Mapping) and framework(each) == framework(description) and differences(each, description)
    ]
    if not others:
        return None
    changed = differences(others[-1], description)
    told = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changed.items())
    return (
        f"Records in this folder were made under another setting ({told}). Reports keep both apart; to measure "
        "everything under this one, choose another folder (--machine-name, --out) or --again all."
    )


def _compared(description: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a description."""
    left_out = _SHARE_OF_HOST if description.get("device") == "cuda" else {}
    found = {key: description[key] for key in _SINGLE if key in description}
    for part, names in SETTINGS.items():
        wanted = [name for name in names if name not in left_out.get(part, ())]
        if isinstance(entry := description.get(part), Mapping):
            found[part] = _chosen(entry, wanted)
        elif isinstance(entry, list):
            found[part] = [_chosen(each, wanted) if isinstance(each, Mapping) else each for each in entry]
    return found


def _chosen(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: entry[name] for name in names if name in entry}


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for number, entry in enumerate(value):
            yield from _leaves(entry, f"{name}.{number}")
    else:
        yield name, value
