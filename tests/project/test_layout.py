"""What may import what: neutral folders know no framework, and modules do not import each other in circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
#: Folders whose code is the same for every framework.
NEUTRAL = ("operators", "algebra", "methods", "collapse", "report")
FRAMEWORKS = {"torch", "jax", "jaxlib"}
PARTS = sorted(
    {path.stem for path in (SOURCE / "jetbench").iterdir() if path.suffix == ".py" or path.is_dir()} - {"__pycache__"}
)


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def trees() -> dict[str, tuple[ast.Module, bool]]:
    """Module → its syntax tree, and whether it is a package."""
    paths = sorted((SOURCE / "jetbench").rglob("*.py"))
    return {module_name(path): (ast.parse(path.read_text("utf-8")), path.stem == "__init__") for path in paths}


def named(module: str) -> Iterator[str]:
    """Every module that the imports of a module name, wherever they are written, also as `import_module("…")`."""
    tree, is_package = trees()[module]
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            yield "".join(part.value for part in ast.walk(node) if is_text(part))


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def imported(module: str) -> set[str]:
    """The modules of this package that a module imports."""
    found = set()
    for name in named(module):
        while name and name not in trees():
            name = name.rpartition(".")[0]
        if name and name != module and not module.startswith(name + "."):
            found.add(name)
    return found


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(imports[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                components.append(sorted(stack[at:]))
            del stack[at:]

    for node in imports:
        if node not in index:
            visit(node)
    return components


@pytest.mark.parametrize("folder", [name for name in NEUTRAL if (SOURCE / "jetbench" / name).is_dir()])
def test_neutral_folders_import_no_framework(folder):
    prefix = f"jetbench.{folder}"
    wrong = {
        module: sorted(frameworks)
        for module in trees()
        if module == prefix or module.startswith(prefix + ".")
        if (frameworks := {name for name in named(module) if is_framework(name)})
    }
    assert not wrong


def is_framework(name: str) -> bool:
    parts = name.split(".")
    return parts[0] in FRAMEWORKS or (parts[0] == "jetbench" and not FRAMEWORKS.isdisjoint(parts))


def private(module: str) -> set[str]:
    """The parts of frameworks without a public name that a module uses; operations of ATen are not modules."""
    tree, _ = trees()[module]
    used = {*named(module), *(ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))}
    parts = {name: name.split(".") for name in used if name.split(".")[0] in FRAMEWORKS}
    return {name for name, own in parts.items() if any(p[0] == "_" != p[1] for p in own) and own[1] != "ops"}


def test_private_parts_of_frameworks_are_in_one_file_each():
    assert {module for module in trees() if private(module)} == {"jetbench.torch._compat", "jetbench.jax._compat"}


@pytest.mark.parametrize("part", PARTS)
def test_modules_do_not_import_each_other_in_circles(part):
    found = [circle for circle in circles(graph()) if any(module.split(".")[1:2] == [part] for module in circle)]
    assert not found


@cache
def graph() -> dict[str, set[str]]:
    """Module → the modules of this package that it imports."""
    found = {module: imported(module) for module in trees()}
    assert found["jetbench.algebra.taylor"] >= {"jetbench.algebra.base", "jetbench.operators.problem"}
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []
