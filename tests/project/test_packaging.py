"""The package as strangers install it: its wheel beside nothing but a framework, and what an import of it loads."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BACKENDS = ("torch", "jax")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1"},
    )


def required(requirement: str) -> Iterator[importlib.metadata.Distribution]:
    """The installed distributions that a requirement brings along, itself first; without the extras of any."""
    todo, seen = [Requirement(requirement)], set()
    while todo:
        wanted = todo.pop()
        if wanted.name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(wanted.name)
        try:
            distribution = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # as CUDA's packages beside a build for CPUs; an import that needs it fails
        yield distribution
        todo += [Requirement(text) for text in distribution.requires or []]


def packages(distribution: importlib.metadata.Distribution) -> set[str]:
    """The names in site-packages that a distribution put there."""
    return {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network from a copy, so that nothing is left in the tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("src", "workflows/schemas"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info"))
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")
    done = run(sys.executable, "-m", "pip", "wheel", "--quiet", *options, out, source, cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module", params=BACKENDS)
def installed(
    wheel: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A backend, and an environment with the wheel and what `jetbench[backend]` brings along, linked from here."""
    folder = tmp_path_factory.mktemp(request.param) / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    options = ("--no-deps", "--no-index", "--no-compile")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *options, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    for requirement in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"][request.param]):
        for distribution in required(requirement):
            for name in packages(distribution):
                if not (site / name).exists():
                    (site / name).symlink_to(Path(str(distribution.locate_file(name))))
    return request.param, python


def readme(backend: str) -> str:
    """The README's Python of one backend: blocks that import it, and those that go on from such a block."""
    page, scripts, current = (ROOT / "README.md").read_text(encoding="utf-8"), {name: [] for name in BACKENDS}, ""
    for block in re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        (current,) = [name for name in BACKENDS if f"import {name}\n" in block] or [current]
        if not block.startswith("# file:"):
            scripts[current].append(block)
    return "\n".join(scripts[backend])


def test_the_wheel_holds_what_is_not_python(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"jetbench/py.typed", "jetbench/schemas/config.schema.json", "jetbench/torch/trusted.txt"} <= set(names)
    assert not [name for name in names if re.search(r"/(fuzz|coverage|tests?)\b", name)]


def test_the_readme_runs_beside_the_framework_alone(installed, tmp_path):
    backend, python = installed
    script = tmp_path / "page.py"
    script.write_text(readme(backend), encoding="utf-8")
    assert f"import {backend}\n" in script.read_text(encoding="utf-8")
    done = run(python, script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_command_says_which_extra_it_needs(installed, tmp_path):
    _, python = installed
    done = run(python.parent / "jetbench", "list", cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"Error: .* needs the package \w+, .*: pip install 'jetbench\[bench\]'\n", done.stderr)


def test_a_picture_says_which_extra_it_needs(installed, tmp_path):
    backend, python = installed
    code = {
        "torch": "import torch as xp; from jetbench.torch import collapse; x = xp.ones(3)",
        "jax": "import jax.numpy as xp; from jetbench.jax import collapse; x = xp.ones(3)",
    }[backend]
    done = run(python, "-c", f"{code}; collapse(xp.tanh).explain(x).draw('a.png')", cwd=tmp_path)
    assert "MissingExtra: A picture of a computation needs the package matplotlib" in done.stderr
    assert "pip install 'jetbench[bench]'" in done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_import_loads_nothing_of_the_suite(backend):
    code = f"import sys, jetbench.{backend}; from jetbench import estimators, operators, symbol; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    suite = PROJECT["optional-dependencies"]["bench"]
    of_suite = {name for text in suite for name in packages(importlib.metadata.distribution(Requirement(text).name))}
    assert {"pandas", "matplotlib", "typer", "rich", "yaml"} <= of_suite
    assert not loaded & of_suite
    assert backend in loaded and not loaded & (set(BACKENDS) - {backend})
