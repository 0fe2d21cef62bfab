"""Every option of every command with values that it does not take: one line, status 2, nothing measured or written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from junk import COMMAND, TEXTS, WORDS, each, jetbench, refusal
from test_bad_configs import BASE

from jetbench import networks, operators
from jetbench.errors import ConfigError
from jetbench.measure import case, compare, sweep
from jetbench.operators import estimators
from jetbench.torch import METHODS

pytestmark = pytest.mark.long

HOSTILE = ("--", "-", "-x", "--nope", "0x10", "1e3", "1,2", "None", "true", "∞", "１", "9" * 30, "\udcff\udcfe", *TEXTS)


def among(*allowed: str) -> Callable[[str], bool]:
    return lambda word: word in allowed


def number(kind: type, least: float, most: float) -> Callable[[str], bool]:
    def allowed(word: str) -> bool:
        try:
            return least <= kind(word) <= most
        except ValueError:
            return False

    return allowed


def never(word: str) -> bool:
    return False


def exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):
        return False


whole = number(int, 1, 2**31 - 1)
seconds = number(float, 1e-300, 1e6)
COMPARE = ("compare", "--operator", "laplacian", "--dim", "3", "--quiet")
CONFIG = ("--config", "own.json")
OPTIONS: dict[tuple[str, ...], dict[str, Callable[[str], bool]]] = {
    COMPARE: {
        "--operator": among(*operators.REGISTRY),
        "--dim": number(int, 1, 4000),
        "--widths": number(int, 1, 2**20),
        "--batch": whole,
        "--dtype": among(*case.DTYPES),
        "--methods": among(*METHODS),
        "--mode": among(*case.MODES),
        "--network": among(*networks.KINDS),
        "--activation": among(*networks.ACTIVATIONS),
        "--outputs": number(int, 1, 2**20),
        "--estimator": among(*estimators.KINDS),
        "--samples": never,
        "--directions": among("polarization", "griewank"),
        "--option": never,
        "--operators-file": among(""),
        "--budget": seconds,
        "--first-call": seconds,
        "--device": among(*case.DEVICES),
        "--threads": number(int, 1, 1),
        "--seed": number(int, 0, 2**63 - 1),
    },
    ("measure", *CONFIG, "--study", "batch", "--curve", "c", "--out", "o"): {
        "--config": never,
        "--study": never,
        "--curve": never,
        "--again": never,
        "--device": never,
    },
    ("sweep", *CONFIG, "--quiet"): {
        "--config": among("own.json"),
        "--minutes": seconds,
        "--machine-name": lambda word: re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", word) is not None,
        "--study": among("batch"),
        "--device": among(*case.DEVICES),
        "--again": among("never", "failed", "all"),
    },
    ("plan", *CONFIG): {
        "--config": among("own.json"),
        "--study": among("batch"),
        "--device": among(*case.DEVICES),
    },
    ("curves", *CONFIG): {"--config": among("own.json"), "--study": among("batch"), "--device": among(*case.DEVICES)},
    ("list",): {"--config": among("own.json"), "--operators-file": among("")},
    ("machine", "--name"): {"--device": among(*case.DEVICES)},
    ("recommend", "--operator", "laplacian", "--dim", "3"): {
        "--operator": among(*operators.REGISTRY),
        "--dim": number(int, 1, 4000),
        "--widths": number(int, 1, 2**20),
        "--batch": whole,
        "--dtype": among(*case.DTYPES),
        "--option": never,
        "--results": never,
    },
    ("compare-runs", ".", "."): {"--of": never, "--within": never, "--results": never},
    ("train", *CONFIG, "--out", "o"): {"--config": among("own.json"), "--device": among(*case.DEVICES)},
    ("explain", "own.json:f"): {"--shapes": never, "--backend": never, "--dtype": never, "--picture": never},
    ("report", "page", "--out", "o"): {"--records": never, "--published": never},
    ("report", "html", "--out", "o"): {"--records": never, "--config": never},
    ("report", "paper", "--out", "o"): {"--records": never},
    ("report", "table", "batch", "--out", "o"): {"--records": never},
    ("report", "figure", "batch", "--out", "o"): {"--records": never, "--published": never},
    ("report", "summary"): {"--records": never},
}
ARGUMENTS = {
    ("list",): among("operators", "methods", "estimators", "networks", "studies", "support"),
    ("report", "collect"): exists,
    ("report", "all"): exists,
    ("explain",): never,
    ("compare-runs", "none"): never,
    (): among(*COMMAND.commands),
    ("report",): among(*COMMAND.commands["report"].commands),
}


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch):
    """A good config, and no measuring: whatever gets so far was not refused."""

    def reached(*_, **__):
        raise AssertionError("it was to be measured")

    Path("own.json").write_text(json.dumps(BASE))
    monkeypatch.setattr(compare, "measure", reached)
    monkeypatch.setattr(sweep, "measure", reached)


def spoiled() -> Iterator[tuple[str, ...]]:
    """Command lines that are wrong in one place."""
    for command, options in OPTIONS.items():
        for option, allowed in options.items():
            for word in each(HOSTILE, WORDS, 6, lambda word, allowed=allowed: allowed(word) or word == "--help"):
                yield (*command, f"{option}={word}")
    for command, allowed in ARGUMENTS.items():
        for word in each(HOSTILE, WORDS, 6, allowed):
            if word not in ("--", "--help") and not word.startswith("-"):
                yield (*command, word)
    for command in OPTIONS:
        yield (*command, "--nope", "1")


def complaint(line: tuple[str, ...]) -> str | None:
    """What is wrong with how a command line is refused."""
    try:
        refusal(*line)
    except Exception as error:
        return f"{line}: {type(error).__name__}: {str(error)[:500]}"
    left = [path.name for path in Path().iterdir() if path.name != "own.json"]
    return f"{line}: {left} is written" if left else None


def test_wrong_words(tried):
    found = [complaint(line) for line in spoiled()]
    assert not [text for text in found if text is not None]
    tried("the command line", len(found))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compare --operator laplacian --dim 3 --threads 100000", ["--threads", "between 1 and", "100000"]),
        ("compare --operator laplacian --dim many", ["--dim", "'many'", "integer"]),
        ("compare --operator laplacian --dim 2000000", ["--dim", "2000000", "4000"]),
        ("compare --operator hessian --dim 3000", ["hessian", "at most 400", "3000"]),
        ("compare --operator biharmonic --dim 1000", ["too large", "1000"]),
        ("compare --operator weighted_laplacian --dim 3 --option matrix=text", ["matrix", "'text'"]),
        ("compare --operator weighted_laplacian --dim 3 --option matrix=[[1,2],[3]]", ["matrix"]),
        ("compare --operator helmholtz --dim 3 --option wavenumber=NaN", ["wavenumber", "finite", "nan"]),
        ("compare --operator laplacian --dim 3 --methods quick", ["'quick'", "collapsed"]),
        ("compare --operator laplacian --dim 3 --budget 1e300", ["--budget", "at most", "1e+300"]),
        ("compare --operator laplacian --dim 3 --json .", [".", "Is a directory"]),
        ("compare --operator laplacian --dim 3 --json own.json/out.json", ["own.json", "is not a directory"]),
        ("compare-runs . . --within inf", ["--within", "'inf'"]),
        ("compare-runs . . --csv .", [".", "Is a directory"]),
        ("recommend --operator laplacian --dim 3 --dtype half", ["--dtype", "'half'", "float64"]),
        ("list operators --config none.yaml", ["none.yaml", "No such file"]),
        ("sweep --config own.json --machine-name published", ["--machine-name", "'published'"]),
        ("curves --config own.json --study nope", ["'nope'", "batch"]),
    ],
)
def test_the_complaint_names_the_value_and_what_is_allowed(line, words):
    said = refusal(*line.split())
    assert all(word in said for word in words), said


def test_a_method_that_does_not_exist_is_found_when_planning():
    config = json.loads(json.dumps(BASE))
    config["studies"]["batch"]["methods"] = ["nested", "quick"]
    Path("own.json").write_text(json.dumps(config))
    for command in ("curves", "plan", "sweep"):
        assert "method 'quick'; allowed: apolar, collapsed" in refusal(command, "--config", "own.json")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", ".x", "", "x" * 101, "a\nb", "a b", "Ａ", "published", "\udcff"])
def test_names_of_machines_stay_in_the_results(name):
    with pytest.raises(ConfigError, match="must be the name of a folder"):
        sweep.folder("results", "cpu", name)
    assert sweep.folder("results", "cpu", "h200.2-b_c") == Path("results/h200.2-b_c")


def test_file_names_of_curves_are_plain_and_short():
    options = {f"weight_{letter}": "µ/../" + letter * 40 for letter in "abcdefghij"}
    entry = {"options": options}
    point = case.Point(case.Case(operator="o" * 60, dim=3, method="m" * 60, operator_options=options))
    stem = case._stem([point], "batch", entry)
    assert len(stem) <= 200 and stem.isascii() and "/" not in stem
    other = case._stem([point], "batch", {"options": {**options, "weight_a": "z"}})
    assert stem != other


OWN_FUNCTIONS = """
import torch
def raises(x): raise KeyError("own")
def ends(x): raise SystemExit
def decides(x): return x if x.sum() > 0 else -x
number = 3
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("own.py:raises --shapes 2x3", "own"),
        ("own.py:raises", "raises"),
        ("own.py:decides --shapes 2x3", "decides"),
        ("own.py:number --shapes 2x3", "'number'"),
        ("own.py:raises --shapes -2x3", "'-2x3'"),
        ("own.py:raises --shapes 9999999999x9999999999", "at most"),
        ("own.txt:raises --shapes 2", "own.txt"),
        ("wrong.py:raises --shapes 2", "SyntaxError"),
        ("ends.py:raises --shapes 2", "SystemExit"),
    ],
)
def test_functions_that_cannot_be_explained(backend, words, said):
    for name, text in {
        "own.py": OWN_FUNCTIONS,
        "own.txt": OWN_FUNCTIONS,
        "wrong.py": "def f(",
        "ends.py": "exit()",
    }.items():
        Path(name).write_text(text)
    before = sorted(Path().iterdir())
    assert said in refusal("explain", *words.split(), "--backend", backend)
    assert [path for path in sorted(Path().iterdir()) if path.name != "__pycache__"] == before


def test_output_that_nobody_reads_is_no_error():
    status, out, _ = jetbench("curves", "--config", "own.json")
    assert (status, len(out.splitlines())) == (0, 2)
