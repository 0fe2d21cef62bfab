"""What `linear_operator` refuses before any network is run, the same in both backends."""

import re

import numpy as np
import pytest

from jetbench import jax, operators, torch

LAPLACIAN = operators.laplacian(dim=2)
BACKENDS = pytest.mark.parametrize("backend", [torch, jax], ids=["torch", "jax"])


def network(x):
    return x.sum(-1)


@BACKENDS
def test_an_unknown_method_is_refused_with_the_names_of_all(backend):
    with pytest.raises(ValueError, match=re.escape(", ".join(backend.METHODS))):
        backend.linear_operator(network, LAPLACIAN, "jet")


@BACKENDS
@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((np.zeros((3, 2)), LAPLACIAN), {}, TypeError, "ndarray"),
        ((network, "laplacian"), {}, TypeError, "str"),
        ((network, LAPLACIAN), {"estimator": "normal"}, TypeError, "estimators"),
        ((network, LAPLACIAN), {"directions": "random"}, ValueError, "polarization, griewank"),
    ],
    ids=["network", "operator", "estimator", "directions"],
)
def test_wrong_arguments_are_refused(backend, arguments, options, error, words):
    with pytest.raises(error, match=words):
        backend.linear_operator(*arguments, **options)
