"""The operators and estimators by which both backends test what every method owes."""

from functools import cache

from jetbench import operators
from jetbench.operators import estimators

ESTIMATORS = {
    "exact": estimators.exact(),
    "normal": estimators.normal(2),
    "rademacher": estimators.rademacher(2),
    "coordinate": estimators.coordinate(2),
}
#: One operator of each kind, small enough to count every product of nested derivatives.
COUNTED = {
    "laplacian": operators.laplacian(dim=4),
    "wave": operators.wave(dim=3),
    "biharmonic": operators.biharmonic(dim=3),
    "mixed": operators.mixed_partial(dim=3, exponents=(2, 1, 1)),
    "inhomogeneous": operators.kuramoto_sivashinsky(dim=2),
    "drift": operators.kolmogorov_backward(dim=3),
    "third": operators.gradient_of_laplacian(dim=2),
}


@cache
def made(name):
    """The operator with its defaults, in as few coordinates as show everything."""
    function = operators.REGISTRY[name]
    operator = function(dim=max(function.min_dim, 3))
    return operator if operator.order <= 4 else function(dim=max(function.min_dim, 2))
