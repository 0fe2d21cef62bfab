"""Directions: a symbol as weighted powers of linear forms, p(ξ) = Σ_r w_r (v_r·ξ)^K, and which of them are drawn.

`decompose` gives all directions of a homogeneous symbol; `randomize` the distributions from which an estimator draws.
Only numbers are made here; propagating along directions is the algebras' task, drawing that of the backends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, factorial, gcd, prod

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from jetbench.errors import Unsupported, unknown
from jetbench.operators.problem import SCHEMES, Problem
from jetbench.operators.symbol import Exponents, Symbol
from jetbench.operators.units import units_of_part

EPSILON = float(np.finfo(np.float64).eps)
ROUNDINGS = 64  # in coefficients that users compute, and in the units of their variables


@dataclass(frozen=True, eq=False)
class Directions:
    """p(ξ) = Σ_r w_r (v_r·ξ)^K, no two v_r parallel for K ≥ 3.

    Attributes:
        vectors: the v_r, (R, n) for n variables.
        weights: the w_r, (R,), none of them zero.
    """

    vectors: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)


def decompose(symbol: Symbol, scheme: str = "polarization", prior: Sequence[np.ndarray] = ()) -> Directions:
    """The directions of a homogeneous symbol of degree K ≥ 1.

    K = 1 is one direction. K = 2 takes eigenvectors of the quadratic form, as many as its rank; variables that do not
    interact stay apart, so a diagonal form gives coordinate axes exactly. For K ≥ 3 each monomial ξ^α is written as

    - `polarization`: ξ^α = 1/(K!·2^K) Σ_{β ≤ α} (−1)^|β| C(α, β) ((α − 2β)·ξ)^K;
    - `griewank`: ξ^α = 1/K! Σ_{|j| = K} γ_{αj} (j·ξ)^K with
      γ_{αj} = Σ_{0 < m ≤ α} (−1)^{|α − m|} C(α, m) C(K·m/|m|, j) (|m|/K)^K
      (Griewank, Utke, Walther, Math. Comp. 69, 2000; used in arXiv 2505.13644),

    and parallel directions of all monomials are merged. The biharmonic (ξ·ξ)² needs D² directions with the first
    scheme and 3/2·D² − D/2 with the second. Where the units of the variables differ much, all of this is done for
    variables of alike units (see `jetbench.operators.units`): sums of powers of (v·ξ) lose what is small in them. What
    the coefficients cannot tell is taken as given; for ∂_x∂_y alone, the function should vary alike in x and y.

    Args:
        symbol: homogeneous, not zero.
        scheme: "polarization" or "griewank"; without effect for K ≤ 2.
        prior: units of the variables, each (n,), to be tried first, as `jetbench.operators.units.priors` gives them.

    Raises:
        ValueError: the symbol is constant, zero or not homogeneous, or the scheme is unknown.
    """
    if scheme not in SCHEMES:
        raise ValueError(unknown("scheme", scheme, SCHEMES, "directions"))
    if symbol.degree < 1 or not symbol.is_homogeneous:
        raise ValueError(f"Only a homogeneous symbol of degree at least 1 has directions; got {symbol}.")
    if symbol.degree == 1:
        vector = np.zeros(symbol.dim)
        for exponents, coefficient in symbol.terms.items():
            vector[exponents.index(1)] = float(coefficient)
        return Directions(vector[None], np.ones(1))
    scales = units_of_part(symbol, prior)
    if symbol.degree == 2:
        return _eigenvectors(symbol.quadratic_form(), scales)
    return _merge(symbol, _polarization if scheme == "polarization" else _griewank, scales)


def _eigenvectors(form: np.ndarray, scales: np.ndarray) -> Directions:
    """Eigenvectors and eigenvalues of a symmetric matrix, one connected block of variables after the other.

    With S = diag(scales) they are those of SAS = QΛQᵀ, and A = Σ_r λ_r v_r v_rᵀ with v_r = S⁻¹q_r. An eigenvalue of an
    n×n block counts as zero below 8·n·ε times the largest one: computing the block as a product σσᵀ of rank below n,
    and its eigenvalues, perturbs each of them by at most a small multiple of n·ε·‖SAS‖₂. So do entries of q_r below
    8·n·ε.

    Args:
        form: A, (n, n).
        scales: (n,).
    """
    dim, used = len(form), np.flatnonzero(form.any(axis=0))  # a second derivative among thousands has two variables
    form, scales = form[np.ix_(used, used)], scales[used]
    _, labels = connected_components(csr_array(form != 0), directed=False)
    order = np.argsort(labels, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    vectors, weights = [], []
    for block in sorted(blocks, key=lambda indices: indices[0]):
        if len(block) == 1:
            vectors.append(np.eye(1, dim, used[block[0]])[0])
            weights.append(form[block[0], block[0]])
            continue
        values, columns = np.linalg.eigh(form[np.ix_(block, block)] * scales[block] * scales[block][:, None])
        noise = 8 * len(block) * EPSILON
        columns[np.abs(columns) <= noise] = 0
        kept = np.abs(values) > noise * np.abs(values).max()
        for value, column in zip(values[kept], columns.T[kept], strict=True):
            vector = np.zeros(dim)
            vector[used[block]] = (column if column[np.argmax(np.abs(column))] > 0 else -column) / scales[block]
            vectors.append(vector)
            weights.append(value)
    return Directions(np.array(vectors), np.array(weights))


@cache
def _polarization(alpha: Exponents) -> tuple[tuple[Exponents, Fraction], ...]:
    """ξ^α as (v, w) pairs, for exponents that are all positive."""
    degree = sum(alpha)
    scale = factorial(degree) * 2**degree
    return _parallel_merged(
        (
            tuple(a - 2 * b for a, b in zip(alpha, beta, strict=True)),
            Fraction((-1) ** sum(beta) * prod(map(comb, alpha, beta)), scale),
        )
        for beta in product(*(range(a + 1) for a in alpha))
    )


@cache
def _griewank(alpha: Exponents) -> tuple[tuple[Exponents, Fraction], ...]:
    """ξ^α as (v, w) pairs with v on the lattice |j| = K, for exponents that are all positive.

    The polynomial z ↦ (z·ξ)^K is homogeneous of degree K, so its values at all j with |j| = K determine it; its mixed
    differences with steps m ≤ α give K!·ξ^α.
    """
    degree = sum(alpha)
    steps = []
    for m in product(*(range(a + 1) for a in alpha)):
        if any(m):
            sign = (-1) ** (degree - sum(m))
            height = Fraction(sum(m), degree) ** degree
            point = [Fraction(degree * k, sum(m)) for k in m]
            steps.append((sign * prod(map(comb, alpha, m)) * height, point))

    def gamma(j: Exponents) -> Fraction:
        return sum(weight * prod(map(_binomial, point, j)) for weight, point in steps)

    return _parallel_merged((j, gamma(j) / factorial(degree)) for j in _lattice(len(alpha), degree))


@cache
def _binomial(upper: Fraction, lower: int) -> Fraction:
    """C(a, k) = a (a − 1) … (a − k + 1) / k! for rational a."""
    return Fraction(prod(upper - i for i in range(lower)), factorial(lower))


def _lattice(size: int, total: int) -> Iterator[Exponents]:
    """All tuples of `size` non-negative whole numbers with the given sum."""
    if size == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _lattice(size - 1, total - first):
            yield (first, *rest)


def _parallel_merged(pairs: Iterator[tuple[Exponents, Fraction]]) -> tuple[tuple[Exponents, Fraction], ...]:
    """Σ w (v·ξ)^K over lattice vectors v, with parallel ones replaced by the shortest, its first entry positive."""
    merged: dict[Exponents, Fraction] = {}
    pairs = list(pairs)
    degree = max(sum(map(abs, v)) for v, _ in pairs)
    for vector, weight in pairs:
        if any(vector):
            length = gcd(*vector) * (1 if next(filter(None, vector)) > 0 else -1)
            shortest = tuple(v // length for v in vector)
            merged[shortest] = merged.get(shortest, 0) + weight * length**degree
    return tuple((v, w) for v, w in merged.items() if w)


def _merge(symbol: Symbol, scheme: Callable, scales: np.ndarray) -> Directions:
    """Directions of all monomials together; sums that cancel to the rounding of the coefficients are dropped.

    With ξ_i = s_i ζ_i they are found for ζ. A direction j·ζ with whole numbers j is (j/s)·ξ; its first entry that is
    not zero stays a whole number.
    """
    total: dict[tuple[tuple[int, int], ...], Fraction] = {}
    size: dict[tuple[tuple[int, int], ...], Fraction] = {}
    others = {i: Fraction(s) for i, s in enumerate(scales.tolist()) if s != 1}
    for (support, powers), coefficient in zip(symbol.supports, symbol.terms.values(), strict=True):
        exact = Fraction(coefficient) if isinstance(coefficient, (int, Fraction)) else Fraction(float(coefficient))
        exact *= prod(others[i] ** e for i, e in zip(support, powers, strict=True) if i in others)
        for vector, weight in scheme(powers):
            key = tuple((i, v) for i, v in zip(support, vector, strict=True) if v)
            total[key] = total.get(key, 0) + exact * weight
            size[key] = size.get(key, 0) + abs(exact * weight)
    tolerance = ROUNDINGS * Fraction(EPSILON)
    kept = [(key, weight) for key, weight in total.items() if abs(weight) > tolerance * size[key]]
    vectors, weights = np.zeros((len(kept), symbol.dim)), np.zeros(len(kept))
    for row, (key, weight) in enumerate(kept):
        first = key[0][0]
        weights[row] = float(weight / others[first] ** symbol.degree if first in others else weight)
        for index, value in key:
            vectors[row, index] = value * (scales[first] / scales[index])
    return Directions(vectors, weights)


@dataclass(frozen=True, eq=False)
class RandomGroup:
    """Directions v of which `samples` are drawn for each datum; the estimate is weight · Σ_s ⟨∂^order f, v_s^⊗order⟩.

    With n variables ζ, a draw is an array (samples, *batch, n): for "normal" and "rademacher" `noise @ matrix.T` with
    noise (samples, *batch, m) of independent N(0, 1) or ±1 entries; for "coordinate" `samples` of the m columns of
    `matrix`, chosen without replacement, each subset with the same probability.

    Attributes:
        kind: "normal", "rademacher" or "coordinate".
        matrix: (n, m).
        samples: S.
        weight: multiplies the sum over samples; its sign is that of the group.
        order: 2 or 4.
    """

    kind: str
    matrix: np.ndarray
    samples: int
    weight: float
    order: int


@dataclass(frozen=True, eq=False)
class RandomDirections:
    """What an estimator draws for a single-output operator, and what of its symbol stays exact.

    Attributes:
        groups: their estimates add up to the highest part of the symbol, in the mean.
        remainder: the terms of degree 0 and 1; they are computed exactly.
    """

    groups: tuple[RandomGroup, ...]
    remainder: Symbol


def randomize(problem: Problem) -> RandomDirections:
    """The distributions from which the problem's estimator draws its directions.

    A quadratic form Σ_r w_r (d_r·ζ)² is split by the sign of w_r; with M± the matrix of columns √|w_r| d_r,
    E[(M±ε·ζ)²] = ±Σ w_r (d_r·ζ)² for every ε of unit covariance. For the square of a semidefinite form q = ±MMᵀ and
    normal η, E[(Mη·ζ)⁴] = 3 (ζᵀMMᵀζ)².

    Raises:
        Unsupported: there is no unbiased estimator of this kind for the symbol; the message says why.
        ValueError: the estimator is exact, so nothing is drawn.
    """
    estimator, operator = problem.estimator, problem.operator
    if estimator.is_exact:
        raise ValueError("The exact estimator draws no directions; use `decompose`.")
    if not operator.is_single:
        raise Unsupported(
            f"The {estimator.kind} estimator draws directions for one symbol, but {operator.name} has the "
            f"outputs {', '.join(list(operator.symbols)[:4])}; use the exact estimator."
        )
    symbol = operator.symbols[""]
    top = symbol.parts.get(symbol.degree)
    lower = {e: c for e, c in symbol.terms.items() if sum(e) < symbol.degree}
    if symbol.degree not in (2, 4):
        raise Unsupported(
            f"Random directions are known for symbols of degree 2 and for squares of them; {operator.name} has "
            f"degree {symbol.degree}."
        )
    if any(sum(e) > 1 for e in lower):
        raise Unsupported(
            f"Beside its part of degree 4 {operator.name} has terms of degree 2 or 3; only terms of degree 0 and 1 "
            "can stay exact beside random directions."
        )
    groups = (_quadratic_groups if symbol.degree == 2 else _quartic_groups)(operator.name, top, problem)
    return RandomDirections(groups, Symbol(symbol.dim, lower))


def _quadratic_groups(name: str, form: Symbol, problem: Problem) -> tuple[RandomGroup, ...]:
    kind, samples = problem.estimator.kind, problem.estimator.samples
    found = decompose(form)
    columns = (found.vectors * np.sqrt(np.abs(found.weights))[:, None]).T
    signs = [sign for sign in (1, -1) if np.any(np.sign(found.weights) == sign)]
    if kind == "coordinate":
        if len(signs) > 1:
            raise Unsupported(
                f"The coordinate estimator needs a definite form, so that directions are alike; that of {name} has "
                "coefficients of both signs. Use normal or rademacher."
            )
        if samples > len(found):
            raise Unsupported(
                f"The coordinate estimator draws without replacement from the {len(found)} directions of {name}; "
                f"{samples} samples are too many."
            )
        return (RandomGroup(kind, columns, samples, signs[0] * len(found) / samples, 2),)
    return tuple(
        RandomGroup(kind, columns[:, np.sign(found.weights) == sign], samples, sign / samples, 2) for sign in signs
    )


def _quartic_groups(name: str, quartic: Symbol, problem: Problem) -> tuple[RandomGroup, ...]:
    kind, samples = problem.estimator.kind, problem.estimator.samples
    root = _square_root(quartic)
    if root is None:
        raise Unsupported(
            f"Random directions of degree 4 are known for c·(ξᵀAξ)² with a semidefinite A only; {name} is not of this "
            "form."
        )
    if kind != "normal":
        why = "E[(ε·ξ)⁴] = 3(ξ·ξ)² − 2Σξ_i⁴" if kind == "rademacher" else "it never sees mixed derivatives"
        raise Unsupported(
            f"The {kind} estimator is biased for an operator of order 4 such as {name}, because {why}. Use normal."
        )
    scale, form = root
    found = decompose(form)
    matrix = (found.vectors * np.sqrt(found.weights)[:, None]).T
    return (RandomGroup(kind, matrix, samples, scale / (3 * samples), 4),)


def _square_root(quartic: Symbol) -> tuple[float, Symbol] | None:
    """(c, q) with p = c·q² and q positive semidefinite, or None where there is none.

    The factors the symbol remembers are tried first. Otherwise q_ii² is the coefficient of ξ_i⁴ and 2·q_ii·q_ij half
    that of ξ_i³ξ_j, up to sign; a row of a semidefinite form with q_ii = 0 is zero.
    """
    factors = quartic.factors
    if len(factors) == 2 and all(f.degree == 2 and f.is_homogeneous for f in factors):
        ratio = _ratio(factors[0].terms, factors[1].terms)
        candidate = None if ratio is None else (ratio, factors[1])
    else:
        candidate = _root_from_terms(quartic)
    if candidate is None:
        return None
    scale, form = candidate
    weights = decompose(form).weights
    if np.any(weights > 0) and np.any(weights < 0):
        return None
    return scale, form if weights[0] > 0 else -form


def _root_from_terms(quartic: Symbol) -> tuple[float, Symbol] | None:
    dim = quartic.dim
    diagonal = np.zeros(dim)
    slopes = np.zeros((dim, dim))
    for exponents, coefficient in quartic.terms.items():
        largest = max(exponents)
        if largest == 4:
            diagonal[exponents.index(4)] = coefficient
        elif largest == 3:
            slopes[exponents.index(3), exponents.index(1)] = coefficient
    scale = float(np.sign(diagonal[np.argmax(np.abs(diagonal))]))
    if scale == 0 or np.any(scale * diagonal < 0):
        return None
    roots = np.sqrt(scale * diagonal)
    terms = {}
    for i in np.flatnonzero(roots):
        unit = [0] * dim
        unit[i] += 2
        terms[tuple(unit)] = roots[i]
        for j in np.flatnonzero(slopes[i]):
            if j > i:
                unit = [0] * dim
                unit[i], unit[j] = 1, 1
                terms[tuple(unit)] = scale * slopes[i, j] / (2 * roots[i])
    form = Symbol(dim, terms)
    square = (form * form) * scale
    sizes = Symbol(dim, {exponents: abs(c) for exponents, c in terms.items()})
    return (scale, form) if _is_multiple(quartic.terms, square.terms, (sizes * sizes).terms) else None


def _ratio(left: Mapping, right: Mapping) -> float | None:
    """c with left = c · right term by term, up to rounding; None where there is none."""
    if not right:
        return None
    pivot = max(right, key=lambda key: abs(right[key]))
    ratio = float(left.get(pivot, 0)) / float(right[pivot])
    multiple = {key: ratio * float(c) for key, c in right.items()}
    return ratio if ratio and _is_multiple(left, multiple, {key: abs(c) for key, c in multiple.items()}) else None


def _is_multiple(left: Mapping, right: Mapping, sizes: Mapping) -> bool:
    """Whether left = right term by term up to rounding, each beside the numbers that its sum on the right is made of:
    what is small beside other terms may be so for its units."""
    keys = set(left) | set(right)
    return all(
        abs(float(left.get(k, 0)) - float(right.get(k, 0))) <= ROUNDINGS * EPSILON * float(sizes.get(k, 0))
        for k in keys
    )
