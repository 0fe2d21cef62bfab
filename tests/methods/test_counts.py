"""Vectors as the suite asks for them, by a backend's name."""

import pytest

from jetbench import estimators, jax, operators, torch
from jetbench.errors import JetbenchError
from jetbench.methods import counted, smallest_vectors
from jetbench.operators.problem import Problem

BACKENDS = pytest.mark.parametrize("backend", [torch, jax], ids=["torch", "jax"])


def name(backend):
    return backend.__name__.rpartition(".")[2]


@BACKENDS
@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(operators.biharmonic(dim=5)), 27),
        (Problem(operators.laplacian(dim=50)), 52),
        (Problem(operators.laplacian(dim=5), estimators.normal(3)), 5),
    ],
    ids=["biharmonic", "laplacian", "random"],
)
def test_the_smallest_vectors_known(backend, problem, expected):
    assert smallest_vectors(name(backend), problem) == expected


@BACKENDS
def test_vectors_or_the_reason_why_there_are_none(backend):
    drawn = Problem(operators.laplacian(dim=5), estimators.normal(3))
    assert counted(name(backend), "collapsed", drawn) == (5, None)
    vectors, reason = counted(name(backend), "apolar", drawn)
    assert vectors is None and reason == backend.METHODS["apolar"].unsupported(drawn)
    with pytest.raises(JetbenchError, match=r"colapsed.*collapsed"):
        counted(name(backend), "colapsed", drawn)
