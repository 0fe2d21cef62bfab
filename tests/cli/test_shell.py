"""The command line in the encodings of other people's terminals, and operators of their own in its lists."""

import io
import os
import subprocess
import sys

import pytest

from jetbench.__main__ import main
from jetbench.cli.encoding import plain
from jetbench.cli.listing import arguments

FUNCTION = """
import torch

def weighted(x):
    return (torch.eye(3, dtype=x.dtype) * x).sum(-1)
"""
COMMANDS = (
    "--help",
    "list operators estimators networks",
    "list methods studies support",
    "list Δ",
    "explain own.py:weighted --shapes 3x3",
    "explain own.py:missing --shapes 3x3",
    "compare --operator Δ --dim 3",
    "plan --config missing-Δ.yaml",
)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_in_every_encoding(command, encoding, monkeypatch, tmp_path):
    (tmp_path / "own.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["jetbench", *command.split()])
    raw = [io.BytesIO(), io.BytesIO()]
    for name, stream in zip(("stdout", "stderr"), raw, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding=encoding, errors="strict"))
    with pytest.raises(SystemExit) as ended:
        main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # where Python falls back to ASCII, typer writes UTF-8
    out, error = (stream.getvalue().decode("utf-8" if encoding == "ascii" else encoding) for stream in raw)
    fails = "Δ" in command or "missing" in command
    assert ended.value.code == (2 if fails else 0)
    assert (error if fails else out).strip()
    assert "Traceback" not in error


@pytest.mark.parametrize("setting", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}])
def test_tables_stay_aligned_where_the_encoding_lacks_characters(setting):
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    command = [sys.executable, "-m", "jetbench", "list", "operators", "networks"]
    done = subprocess.run(command, env={**settings, "PYTHONUTF8": "0", **setting}, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode("ascii").splitlines()
    assert any("Delta^2u = Sum_ij d_i^2d_j^2u" in line for line in lines)
    tables = "\n".join(lines).split("Networks")
    assert len(tables) == 2
    for table in tables:
        assert len({len(line) for line in table.splitlines() if line.startswith(("+", "|"))}) == 1


@pytest.mark.parametrize(
    ("character", "written"),
    [
        ("Δ", "Delta"),
        ("ξ", "xi"),
        ("²", "^2"),
        ("¹⁶", "^16"),
        ("⁻", "^-"),
        ("é", "e"),
        ("−", "-"),
        ("→", "->"),
        ("½", "1/2"),
        ("漢", "?"),
    ],
)
def test_a_character_that_an_encoding_lacks_is_written_in_others(character, written):
    assert plain(character) == written


def test_parameters_of_operators_are_listed_as_they_are_written():
    def own(dim: int, speed: float = 2.0, *others, name="u", needed: "str", **more):
        del dim, speed, others, name, needed, more

    assert arguments(own) == "dim, speed=2.0, *others, name='u', needed, **more"
    assert arguments(lambda dim: dim) == "dim"
