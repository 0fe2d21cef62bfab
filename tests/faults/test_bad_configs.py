"""Every value of a config, of a wrong type, size or name: one line that names it, status 2, nothing written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st
from junk import ANYTHING, TEXTS, VALUES, each, jetbench, refusal

from jetbench import networks
from jetbench.measure.case import AXES, DEVICES, MODES
from jetbench.operators import estimators
from jetbench.torch import METHODS

pytestmark = pytest.mark.long

BASE: dict[str, Any] = {
    "preset": "own",
    "device": "cpu",
    "threads": 1,
    "operators_file": None,
    "budget": {
        "point_s": 1,
        "first_call_s": 10,
        "samples_min": 3,
        "samples_max": 9,
        "interval": 0.1,
        "gradient": True,
        "memory": True,
    },
    "studies": {
        "batch": {
            "axis": "batch",
            "values": [1],
            "modes": ["eager"],
            "methods": ["nested", {"method": "collapsed", "directions": "griewank"}],
            "estimator": {"kind": "normal", "samples": 2},
            "network": {"kind": "mlp", "widths": [8], "activation": "tanh", "outputs": 1, "seed": 0},
            "dtype": "float64",
            "batch": 4,
            "cases": [{"operator": "weighted_laplacian", "dim": 3, "options": {"rank": 2}}],
        }
    },
}
STUDY = ("studies", "batch")
CASE = (*STUDY, "cases", 0)


def whole(least: int, most: int = 2**31 - 1) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1e6


def among(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def several(allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) > 0 and all(map(allowed, value))


def never(value: Any) -> bool:
    return False


def is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isidentifier() and value.islower() and value[0] != "_"


LEAVES: dict[tuple, Callable[[Any], bool]] = {
    ("preset",): is_name,
    ("device",): among(*DEVICES),
    ("threads",): lambda value: value is None or whole(1, 4096)(value),
    ("operators_file",): lambda value: value in (None, ""),
    ("budget",): never,
    ("budget", "point_s"): seconds,
    ("budget", "first_call_s"): seconds,
    ("budget", "samples_min"): whole(3, 9),
    ("budget", "samples_max"): whole(3, 10**6),
    ("budget", "interval"): lambda value: type(value) is float and 0 < value < 1,
    ("budget", "gradient"): lambda value: type(value) is bool or value == "quick",
    ("budget", "memory"): lambda value: type(value) is bool,
    ("studies",): never,
    STUDY: never,
    (*STUDY, "axis"): among(*AXES),
    (*STUDY, "values"): several(whole(1)),
    (*STUDY, "values", 0): whole(1),
    (*STUDY, "modes"): several(among(*MODES)),
    (*STUDY, "modes", 0): among(*MODES),
    (*STUDY, "methods"): several(among(*METHODS)),
    (*STUDY, "methods", 0): among(*METHODS),
    (*STUDY, "methods", 1, "method"): among(*METHODS),
    (*STUDY, "methods", 1, "directions"): among("polarization", "griewank"),
    (*STUDY, "estimator"): lambda value: value in ("exact",) or value == BASE["studies"]["batch"]["estimator"],
    (*STUDY, "estimator", "kind"): among(*estimators.KINDS),
    (*STUDY, "estimator", "samples"): whole(1),
    (*STUDY, "network"): lambda value: value == {},
    (*STUDY, "network", "kind"): among(*networks.KINDS),
    (*STUDY, "network", "widths"): several(whole(1, 2**20)),
    (*STUDY, "network", "widths", 0): whole(1, 2**20),
    (*STUDY, "network", "activation"): among(*networks.ACTIVATIONS),
    (*STUDY, "network", "outputs"): whole(1, 2**20),
    (*STUDY, "network", "seed"): whole(0, 2**63 - 1),
    (*STUDY, "dtype"): among("float64", "float32", "tf32", "bfloat16"),
    (*STUDY, "batch"): whole(1),
    (*STUDY, "cases"): never,
    CASE: never,
    (*CASE, "operator"): among("weighted_laplacian"),
    (*CASE, "dim"): whole(2, 4000),
    (*CASE, "options"): lambda value: value == {},
    (*CASE, "options", "rank"): lambda value: (
        value is None or whole(1, 3)(value) or (type(value) is float and 0 < value <= 1)
    ),
}
MAPPINGS = [(), ("budget",), STUDY, (*STUDY, "estimator"), (*STUDY, "network"), (*STUDY, "methods", 1), CASE]
#: Options of operators that are lists, arrays or functions: no text, mapping or nest of lists will do.
OPTIONS = [
    *(("weighted_laplacian", option) for option in ("matrix", "factor")),
    ("mixed_partial", "exponents"),
    *(("black_scholes", option) for option in ("rate", "volatility", "correlation")),
    *(("kolmogorov_backward", option) for option in ("drift", "diffusion", "noise")),
    ("fokker_planck", "reaction"),
    ("helmholtz", "wavenumber"),
]
NO_OPTION = ("text", {"a": 1}, [[1, 2], [3]], [[["x"]]], ["x"], [None, {}], [float("nan")], float("inf"), 10**400)


def changed(path: tuple, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(BASE)
    inner: Any = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return config


def complaint(config: Any, *words: str) -> str | None:
    """What is wrong with how a config is refused: in one line, with one of the words, and nothing is to be written."""
    Path("own.json").write_text(json.dumps(config))
    try:
        line = refusal("curves", "--config", "own.json")
    except Exception as error:
        return f"{words}: {type(error).__name__}: {str(error)[:600]}"
    if not any(word in line for word in words):
        return f"{words}: {line}"
    return None if [path.name for path in Path().iterdir()] == ["own.json"] else f"{words}: something is written"


def test_the_config_that_is_spoiled_is_a_good_one():
    Path("own.json").write_text(json.dumps(BASE))
    assert jetbench("curves", "--config", "own.json")[0] == 0


def wrong() -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Configs that are wrong in one place, and words of which the complaint must have one."""
    for path, allowed in LEAVES.items():
        *_, name = [key for key in path if isinstance(key, str)]
        for value in each(VALUES, ANYTHING, 8, allowed):
            yield changed(path, value), (name, name.replace("_", " "), "studies")
    for path in MAPPINGS:
        for key in each(TEXTS, st.text(max_size=20), 10, str.isidentifier):
            yield changed((*path, key), 1), ("unknown key",)
    for operator, option in OPTIONS:
        for value in NO_OPTION:
            yield changed(CASE, {"operator": operator, "dim": 3, "options": {option: value}}), (option,)
    for name in each(TEXTS, st.text(max_size=20), 20, is_name):
        yield {**BASE, "studies": {name: BASE["studies"]["batch"]}}, ("name", "must have")


def test_wrong_values(tried):
    found = [complaint(config, *words) for config, words in wrong()]
    assert not [text for text in found if text is not None]
    tried("values of a config", len(found))


BOMBS = {
    "aliases": "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    ),
    "merges": "a0: &a0 {x: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30)
    ),
    "depth": "[" * 100_000,
    "closed depth": "[" * 3000 + "]" * 3000,
    "blocks": "\n".join(" " * depth + "a:" for depth in range(2000)),
    "itself": "studies: &a [*a]",
    "code": "studies: !!python/object/apply:os.system ['touch bomb']",
    "module": "studies: !!python/module:os",
    "twice": "preset: own\npreset: own\nstudies: {}",
    "digits": "preset: " + "1" * 5000,
    "hexadecimal": "preset: own\nstudies: {a: 0x" + "f" * 5000 + "}",
    "date": "preset: 2020-13-45\nstudies: {}",
    "documents": "a: 1\n---\nb: 2",
    "keys": "? [1, 2]\n: 3\nstudies: {}",
    "nothing": "",
    "control": "studies: {}\x07",
    "large": "studies: " + " " * 2**22,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_yaml_bombs_do_not_go_off(bomb):
    Path("own.yaml").write_text(BOMBS[bomb])
    assert "own.yaml" in refusal("curves", "--config", "own.yaml")
    assert [path.name for path in Path().iterdir()] == ["own.yaml"]


def test_wrong_texts(tried):
    """Good configs with something cut out, doubled or replaced; those that are still good are not counted."""
    count = len(BOMBS)
    good = yaml.safe_dump(BASE), json.dumps(BASE)
    drawn = st.tuples(st.sampled_from([0, 1]), st.integers(0, 700), st.integers(0, 60), st.binary(max_size=6))
    for which, start, length, new in each((), drawn, 400, never):
        content = good[which].encode()
        path = Path(("own.yaml", "own.json")[which])
        path.write_bytes(content[:start] + new + content[start + length :])
        status, _, err = jetbench("curves", "--config", str(path))
        if status != 0:
            assert refusal("curves", "--config", str(path)) == err
            count += 1
        path.unlink()
        assert not list(Path().iterdir())
    tried("texts of a config: YAML and JSON", count)


@pytest.mark.parametrize("place", ["/dev/zero", "/proc/self/mem", ".", "none.yaml", "a" * 300, "a/" * 3000, "\udcff"])
def test_what_is_no_file_is_no_config(place):
    refusal("curves", "--config", place)


def test_an_operators_file_runs_only_when_it_is_named():
    for name in ("own_operators.py", "operators.py", "conftest.py", "sitecustomize.py", "jetbench.py"):
        Path(name).write_text("open('it ran', 'w').close()\n")
    Path("own.json").write_text(json.dumps(BASE))
    for words in (["curves", "--config", "own.json"], ["plan", "--config", "own.json"], ["list", "operators"]):
        assert jetbench(*words)[0] == 0
    assert not Path("it ran").exists()
    Path("own.json").write_text(json.dumps({**BASE, "operators_file": "own_operators.py"}))
    assert "registers no operator" in refusal("curves", "--config", "own.json") and Path("it ran").exists()
