"""docs/claims.md: what it expects is what the committed records say, and what it names exists."""

from __future__ import annotations

import json
import re

import pytest

from pages import ROOT, Page

TEXT = Page("docs/claims.md").text
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith(("| claim", "| ---"))]


def seconds(curve: str, batch: int, field: str = "time_s") -> float:
    """A number of the ok record of a batch size on a curve of the study batch."""
    lines = (ROOT / "results" / f"{curve}.jsonl").read_text().splitlines()
    (record,) = [r for r in map(json.loads, lines) if r["batch"] == batch and r["status"] == "ok"]
    return record[field]


def ratio(folder: str, curve: str, methods: tuple[str, str], batch: int) -> float:
    """Time of the first method over that of the second."""
    first, second = (seconds(f"{folder}/batch/{curve.replace('*', method)}", batch) for method in methods)
    return first / second


H200 = [
    ("Laplacian, D = 50, eager, batch 2048", "torch-laplacian-50-exact-*-eager", ("collapsed", "nested"), 2048),
    ("Biharmonic, D = 5, eager, batch 1024", "torch-biharmonic-5-exact-*-eager", ("collapsed", "nested"), 1024),
    ("Biharmonic, D = 5, eager, batch 1024", "torch-biharmonic-5-exact-*-eager", ("apolar", "nested"), 1024),
    ("JAX, Laplacian, batch 2048", "jax-laplacian-50-exact-*-compiled", ("collapsed", "folx"), 2048),
    ("JAX, biharmonic, batch 512", "jax-biharmonic-5-exact-*-compiled", ("apolar", "folx"), 512),
    ("JAX: stock jet", "jax-laplacian-50-exact-*-compiled", ("jax_jet", "nested"), 2048),
    ("JAX: stock jet", "jax-laplacian-50-exact-*-compiled", ("taylor", "nested"), 2048),
    ("Compiled PyTorch, Laplacian", "torch-laplacian-50-exact-*-compiled", ("collapsed", "nested"), 2048),
]
CPU = [
    ("Biharmonic, D = 5, eager, batch 4", "torch-biharmonic-5-exact-*-eager", ("apolar", "nested"), 4),
    ("Biharmonic, D = 5, JAX, batch 4", "jax-biharmonic-5-exact-*-compiled", ("apolar", "nested"), 4),
]


def row(claim: str) -> str:
    (found,) = [line for line in ROWS if line.startswith(f"| {claim}")]
    return found


@pytest.mark.parametrize(
    ("folder", "claim", "curve", "methods", "batch"),
    [("h200", *entry) for entry in H200] + [("epyc-2core", *entry) for entry in CPU],
)
def test_expected_ratio_is_that_of_the_records(folder, claim, curve, methods, batch):
    expected = ratio(folder, curve, methods, batch)
    assert f"{expected:.2f}" in row(claim) or f"{expected:.2g}" in row(claim), expected


def test_expected_distance_to_the_floor_is_that_of_the_record():
    floors = seconds("epyc-2core/batch/torch-laplacian-50-exact-collapsed-compiled", 16, "time_over_floor")
    assert f"{floors:.1f} floors" in row("Laplacian, D = 50, compiled, batch 16")


def test_every_method_trained_to_the_loss_in_the_same_number_of_steps():
    runs = [json.loads(line) for line in (ROOT / "results/epyc-2core/training.jsonl").read_text().splitlines()]
    steps = {(run["problem"], run["steps_to_target"]) for run in runs if run["status"] == "ok"}
    assert len(steps) == len({problem for problem, _ in steps}) > 0


def test_verdicts_are_those_of_the_reproduction():
    page = Page("docs/reproduction.md").text
    counts = {
        name: re.search(rf"^\| {name} \| (\d+)", page, re.MULTILINE)[1] for name in ("agrees", "differs", "undecided")
    }
    expected = f"{counts['agrees']} agree, {counts['differs']} differ, {counts['undecided']} undecided"
    assert expected in row("Of the 192 published slopes")


def test_counts_are_those_of_the_methods():
    from jetbench import operators
    from jetbench.torch import linear_operator

    def vectors(operator, method):
        return str(linear_operator(lambda x: x, operator, method=method).vectors)

    laplacian, biharmonic = operators.laplacian(dim=50), operators.biharmonic(dim=5)
    assert f"{vectors(laplacian, 'collapsed')}, {vectors(laplacian, 'taylor')} (exact)" in row(
        "Collapsed Taylor mode passes"
    )
    assert f"{vectors(biharmonic, 'apolar')}, {vectors(biharmonic, 'collapsed')} (exact)" in row("For the biharmonic")


def test_files_that_the_page_names_exist():
    names = re.findall(r"`((?:results|docs|tests|paper)/[\w./*-]+)`", TEXT)
    names += re.findall(r"TESTS=(\S+?)`", TEXT)
    assert len(names) > 10
    assert not [name for name in names if not list(ROOT.glob(name))]
