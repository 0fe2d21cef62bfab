"""Python files of users, which register operators or methods of their own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def run(path: Path, kind: str) -> ModuleType:
    """Run a user's file as a module.

    Args:
        kind: what it registers, "operators" or "methods".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a Python file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {kind} file {path}.")
    name = f"jetbench_{kind}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"A file of {kind} is a Python file, ending in .py; got {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
