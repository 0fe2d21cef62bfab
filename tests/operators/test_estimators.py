"""Estimators are unbiased: the moments of their draws are computed exactly, by enumeration or quadrature."""

from itertools import combinations, product

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

from jetbench import estimators
from jetbench.errors import Unsupported
from jetbench.jax import METHODS
from jetbench.operators.directions import randomize
from jetbench.operators.estimators import KINDS, Estimator
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol, variables

TAYLOR = METHODS["taylor"]

XI = variables(4)
POINT = np.array([0.7, -1.3, 0.4, 2.1])
FULL = np.array([[2.0, 0.3, -0.5, 0.1], [0.3, 1.5, 0.2, 0.0], [-0.5, 0.2, 3.0, 0.4], [0.1, 0.0, 0.4, 1.0]])
INDEFINITE = FULL @ np.diag([1.0, -1.0, 1.0, -1.0]) @ FULL.T
ROOT = np.array([[1.0, 0.5, 0.0, -1.0], [0.0, 2.0, 1.0, 0.5]])
FORMS = {
    "laplacian": XI @ XI,
    "diagonal": XI[0] ** 2 + 5 * XI[2] ** 2,
    "full": XI @ FULL @ XI,
    "negative": -(XI @ FULL @ XI),
    "indefinite": XI @ INDEFINITE @ XI,
    "wave": XI[0] ** 2 - 2 * (XI[1:] @ XI[1:]),
    "semidefinite": XI @ (ROOT.T @ ROOT) @ XI,
}
QUARTICS = {
    "biharmonic": (XI @ XI) ** 2,
    "scaled": -2.5 * (XI @ FULL @ XI) ** 2,
    "negative form": (-1 * (XI @ FULL @ XI)) ** 2,
    "unequal factors": (XI @ FULL @ XI) * (-3 * (XI @ FULL @ XI)),
    "two coordinates": (XI[1] ** 2 + 4 * XI[3] ** 2) ** 2,
    "expanded": Symbol(4, ((XI @ FULL @ XI) ** 2 * -0.5).terms),
    "fourth power": 3 * XI[0] ** 4,
}


def draw_of(symbol, estimator):
    return randomize(Problem(as_operator(symbol), estimator))


def mean_power(group, point):
    """E[(v·ξ)^order] over one draw v: over all signs, all columns, or by Gauss-Hermite quadrature of degree 5."""
    columns = group.matrix.shape[1]
    if group.kind == "coordinate":
        return np.mean((group.matrix.T @ point) ** group.order)
    nodes, weights = (np.array([-1.0, 1.0]), np.ones(2)) if group.kind == "rademacher" else hermegauss(3)
    weights = weights / weights.sum()
    noise = np.array(list(product(nodes, repeat=columns)))
    probability = np.prod(np.array(list(product(weights, repeat=columns))), axis=1)
    return probability @ (noise @ group.matrix.T @ point) ** group.order


def expectation(directions, point):
    groups = sum(group.weight * group.samples * mean_power(group, point) for group in directions.groups)
    return groups + directions.remainder(point)


@pytest.mark.parametrize("samples", [1, 7])
@pytest.mark.parametrize("kind", ["normal", "rademacher"])
@pytest.mark.parametrize("name", FORMS)
def test_unit_covariance_estimates_any_quadratic_form(name, kind, samples):
    directions = draw_of(FORMS[name], Estimator(kind, samples))
    assert expectation(directions, POINT) == pytest.approx(FORMS[name](POINT), rel=1e-12)
    assert all(group.samples == samples and group.order == 2 for group in directions.groups)


@pytest.mark.parametrize("name", [n for n in FORMS if n not in ("indefinite", "wave")])
def test_every_subset_of_coordinates_together_gives_the_form(name):
    rows = draw_of(FORMS[name], estimators.coordinate(1)).groups[0].matrix.shape[1]
    for samples in range(1, rows + 1):
        (group,) = draw_of(FORMS[name], estimators.coordinate(samples)).groups
        subsets = combinations(range(rows), samples)
        estimates = [group.weight * np.sum((group.matrix[:, subset].T @ POINT) ** 2) for subset in map(list, subsets)]
        assert np.mean(estimates) == pytest.approx(FORMS[name](POINT), rel=1e-12)
        if samples == rows:
            assert len(estimates) == 1


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("name", QUARTICS)
def test_normal_directions_estimate_squares_of_forms(name, samples):
    directions = draw_of(QUARTICS[name], estimators.normal(samples))
    assert expectation(directions, POINT) == pytest.approx(QUARTICS[name](POINT), rel=1e-12)
    (group,) = directions.groups
    assert group.order == 4


def test_the_biharmonic_weight_is_that_of_the_paper():
    (group,) = draw_of((XI @ XI) ** 2, estimators.normal(6)).groups
    assert group.weight == pytest.approx(1 / 18)
    assert np.array_equal(group.matrix, np.eye(4))


@pytest.mark.parametrize("kind", ["normal", "rademacher", "coordinate"])
def test_the_laplacian_draws_in_the_coordinates_of_x(kind):
    (group,) = draw_of(XI @ XI, Estimator(kind, 2)).groups
    assert np.array_equal(group.matrix, np.eye(4))
    assert group.weight == (4 / 2 if kind == "coordinate" else 1 / 2)


def test_terms_of_degree_zero_and_one_stay_exact():
    symbol = XI @ XI + 3 * XI[1] - 0.5
    directions = draw_of(symbol, estimators.rademacher(3))
    assert directions.remainder == 3 * XI[1] - 0.5
    assert expectation(directions, POINT) == pytest.approx(symbol(POINT))


def test_an_indefinite_form_is_drawn_in_two_groups():
    groups = draw_of(FORMS["wave"], estimators.normal(4)).groups
    assert [group.weight for group in groups] == [0.25, -0.25]
    assert [group.matrix.shape for group in groups] == [(4, 1), (4, 3)]


@pytest.mark.parametrize(
    ("symbol", "estimator", "reason"),
    [
        (XI[0] ** 3, estimators.normal(2), "degree 3"),
        (XI[0] + 1, estimators.normal(2), "degree 1"),
        ((XI @ XI) ** 2, estimators.rademacher(2), "biased.*order 4"),
        ((XI @ XI) ** 2, estimators.coordinate(2), "biased.*mixed derivatives"),
        ((XI @ XI) ** 2 + XI @ XI, estimators.normal(2), "degree 2 or 3"),
        (XI[0] ** 2 * XI[1] ** 2, estimators.normal(2), "semidefinite"),
        (XI[0] ** 4 + XI[1] ** 4, estimators.normal(2), "semidefinite"),
        ((XI[0] ** 2 - XI[1] ** 2) ** 2, estimators.normal(2), "semidefinite"),
        ((XI @ XI) * (XI @ FULL @ XI), estimators.normal(2), "semidefinite"),
        (XI[0] ** 2 - XI[1] ** 2, estimators.coordinate(1), "both signs"),
        (XI[0] ** 2 + XI[1] ** 2, estimators.coordinate(3), "2 directions.*3 samples"),
        ({"a": XI @ XI, "b": XI[0] ** 2}, estimators.normal(2), "outputs a, b"),
    ],
)
def test_what_has_no_unbiased_estimator_is_refused_with_a_reason(symbol, estimator, reason):
    problem = Problem(as_operator(symbol), estimator)
    with pytest.raises(Unsupported, match=reason):
        randomize(problem)
    assert TAYLOR.unsupported(problem).endswith(".")


def test_what_can_be_drawn_is_not_refused():
    assert TAYLOR.unsupported(Problem(as_operator(XI @ XI), estimators.coordinate(4))) is None
    assert TAYLOR.unsupported(Problem(as_operator(XI[0] ** 3))) is None
    with pytest.raises(ValueError, match="draws no directions"):
        randomize(Problem(as_operator(XI @ XI)))


def test_rademacher_is_biased_for_order_four_as_its_refusal_says():
    signs = np.array(list(product([-1.0, 1.0], repeat=4)))
    mean = np.mean((signs @ POINT) ** 4)
    assert mean == pytest.approx(3 * (POINT @ POINT) ** 2 - 2 * np.sum(POINT**4))
    assert abs(mean / 3 - (POINT @ POINT) ** 2) > 1


def test_estimators_are_made_by_name():
    assert estimators.exact() == Estimator() == Estimator("exact")
    assert estimators.exact().is_exact
    for kind in KINDS[1:]:
        made = getattr(estimators, kind)(np.int64(3))
        assert made == Estimator(kind, 3)
        assert type(made.samples) is int
        assert not made.is_exact


@pytest.mark.parametrize("samples", [0, -1, None, 2.0, True, "4"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_random_estimators_need_a_whole_number_of_samples(kind, samples):
    with pytest.raises(ValueError, match="whole number of samples"):
        Estimator(kind, samples)


def test_wrong_estimators_are_refused():
    with pytest.raises(ValueError, match="exact, normal, rademacher, coordinate"):
        Estimator("gaussian", 3)
    with pytest.raises(ValueError, match="takes no samples"):
        Estimator("exact", 3)
