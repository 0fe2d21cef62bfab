"""What the command `explain` needs of a backend, by its name, and functions from users' files."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jetbench.collapse.explain import Explanation
from jetbench.errors import ConfigError, JetbenchError, unknown
from jetbench.measure.backends import BACKENDS

DTYPES = ("float64", "float32", "bfloat16", "float16")
LARGEST = 2**28  # entries of an argument: one of more is a slip of the pen, and may not fit into the memory


def explain(function: str, shapes: Sequence[str], backend: str, dtype: str | None) -> Explanation:
    """What `collapse` does to the function FILE.py:NAME for arguments of the given shapes, such as "32x50".

    The function is called once, so that no computation is explained that cannot be done. Without a dtype, arguments are
    of the type of the function's own tensors; of 64 bit if it has none.

    Raises:
        ConfigError: the file, the function, a shape, the type or the backend is not what it should be.
        JetbenchError: the function cannot be run, or not be traced.
    """
    path, separator, name = function.rpartition(":")
    if not separator or not Path(path).is_file():
        raise ConfigError(f"Name a function as FILE.py:NAME, with a file that exists; got {function!r}.")
    if dtype not in (None, *DTYPES):
        raise ConfigError(unknown("value", dtype, DTYPES, "--dtype"))
    sizes = [_shape(text) for text in shapes]
    framework = _backend(backend)
    if backend == "jax" and dtype in (None, "float64"):
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    found = getattr(_module(path), name, None)
    if not callable(found):
        raise ConfigError(f"There is no function {name!r} in {path}.")
    dtype = dtype or (framework.own_dtype(found) if backend == "torch" else None) or "float64"
    given = f"{', '.join(shapes) or 'no arguments'} ({backend}, {dtype})"
    with _told(f"{function} could not be run for {given}"):
        found(*[_argument(backend, shape, dtype) for shape in sizes])
    with _told(f"{function} could not be traced for {given}"):
        return framework.collapse(found).explain(*[_argument(backend, shape, dtype) for shape in sizes])


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever a user's function raises, in a sentence."""
    try:
        yield
    except JetbenchError:
        raise
    except Exception as error:
        raise JetbenchError(f"{what}: {type(error).__name__}: {error}") from error


def _backend(name: str) -> Any:
    if name not in BACKENDS:
        raise ConfigError(unknown("value", name, BACKENDS, "--backend"))
    try:
        return importlib.import_module(f"jetbench.{name}.rewriting.function")
    except ModuleNotFoundError as error:
        raise ConfigError(f"The backend {name} needs {error.name}, which is not installed.") from None


def _module(path: str) -> ModuleType:
    """A user's file, run."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"A function is taken from a Python file, ending in .py; got {path}.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"The file {path} cannot be run: {why}") from error
    return module


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in text.split("x"))
    except ValueError:
        raise ConfigError(f"A shape is written as 32x50; got {text!r}.") from None
    if any(n < 0 for n in shape) or math.prod(shape) > LARGEST:
        raise ConfigError(f"A shape has no negative length and at most {LARGEST} entries; got {text!r}.")
    return shape


def _argument(backend: str, shape: tuple[int, ...], dtype: str) -> Any:
    if backend == "torch":
        torch = importlib.import_module("torch")
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    return importlib.import_module("jax.numpy").asarray(np.zeros(shape), dtype)
