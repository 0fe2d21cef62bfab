"""Solutions of linear systems and factorizations, by series in the nilpotent part of the matrix.

A jet of matrices is A + E with a nilpotent E: every product of more than K factors E vanishes. So each equation for an
unknown change of the result, linear but for terms with two nilpotent factors, is solved by iteration: every pass makes
the coefficients of one more order right, and K passes all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate, chain, pairwise

import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, primitives
from jax.lax import linalg

from jetbench.algebra.derivatives import real_power
from jetbench.errors import MissingRule
from jetbench.jax.jet import (
    Jet,
    Value,
    add,
    algebra_of,
    constant,
    elementwise,
    jointly_linear,
    linear,
    multiply,
    primal,
    times,
)
from jetbench.jax.propagate import propagate
from jetbench.jax.registry import rule
from jetbench.jax.rules.elementwise import exponential
from jetbench.jax.rules.named import rule_by_name


def _change(x: Jet) -> Jet:
    """E alone: its primal is zero."""
    return Jet(x.algebra, jnp.zeros_like(x.primal), rest=x.rest, present=x.present)


def _with_primal(value: Array, change: Jet) -> Jet:
    """A result that is known without derivatives, plus its nilpotent change."""
    return Jet(change.algebra, value, rest=change.rest, present=change.present)


def _matmul(a: Value, b: Value) -> Value:
    return multiply(jnp.matmul, a, b)


def _adjoint(a: Value) -> Value:
    return linear(lambda t: t.mT.conj(), a) if isinstance(a, Jet) else a.mT.conj()


def _passes(x: Jet) -> int:
    """How many passes make a change right that is right to first order."""
    return x.algebra.order - 1 if x.present else 0


def _diagonal(t: Array) -> Array:
    """The diagonal as a diagonal matrix."""
    return t * jnp.eye(t.shape[-1], dtype=t.dtype)


def _hermitian(t: Array) -> Array:
    """The Hermitian matrix of which the lower triangle is read."""
    return jnp.tril(t) + jnp.tril(t, -1).mT.conj() - (1j * _diagonal(t).imag if jnp.iscomplexobj(t) else 0)


@rule(primitives.triangular_solve_p)
def triangular_solve(
    a: Value,
    b: Value,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Value:
    """x ← A⁻¹(B − E x), where only the triangle of E counts that is read."""

    def solve(t: Array) -> Array:
        return linalg.triangular_solve(
            primal(a),
            t,
            left_side=left_side,
            lower=lower,
            transpose_a=transpose_a,
            conjugate_a=conjugate_a,
            unit_diagonal=unit_diagonal,
        )

    solved = linear(solve, b) if isinstance(b, Jet) else solve(b)
    if not isinstance(a, Jet) or not a.present:
        return solved if isinstance(solved, Jet) or not isinstance(a, Jet) else constant(a.algebra, solved)

    def read(t: Array) -> Array:
        t = jnp.tril(t, -int(unit_diagonal)) if lower else jnp.triu(t, int(unit_diagonal))
        t = t.conj() if conjugate_a else t
        return t.mT if transpose_a else t

    change = linear(read, _change(a))

    found = solved
    for _ in range(a.algebra.order):
        moved = _matmul(change, found) if left_side else _matmul(found, change)
        found = add(solved, linear(solve, moved), -1)
    return found


@rule(primitives.tridiagonal_solve_p)
def tridiagonal_solve(below: Value, diagonal: Value, above: Value, b: Value, **params: object) -> Value:
    """x ← A⁻¹(B − E x) with the three diagonals of A; the first entry below and the last one above are not read."""
    known = [primal(value) for value in (below, diagonal, above)]

    def solve(t: Array) -> Array:
        return primitives.tridiagonal_solve_p.bind(*known, t, **params)

    def column(value: Value) -> Value:
        return linear(lambda t: t[..., None], value) if isinstance(value, Jet) else value[..., None]

    def shifted(x: Jet, by: int) -> Jet:
        if by == 0:
            return x
        rows = jnp.arange(x.shape[-2])[:, None]
        kept = (rows >= by) if by > 0 else (rows < x.shape[-2] + by)
        return linear(lambda t: jnp.where(kept, jnp.roll(t, by, -2), 0), x)

    algebra = algebra_of(below, diagonal, above, b)
    solved = linear(solve, b if isinstance(b, Jet) else constant(algebra, b))
    changes = [(value, by) for value, by in ((below, 1), (diagonal, 0), (above, -1)) if isinstance(value, Jet)]
    found = solved
    for _ in range(algebra.order if changes else 0):
        terms = [times(column(_change(value)), shifted(found, by)) for value, by in changes]
        found = add(solved, linear(solve, reduce(add, terms)), -1)
    return found


@rule(primitives.linear_solve_p)
def linear_solve(
    *values: Value, const_lengths: Sequence[int], jaxprs: Sequence[ClosedJaxpr | None], **params: object
) -> list[Value]:
    """A linear system by any solver: x ← x₀ − A⁻¹((A + E)x − A x). A⁻¹ is the primitive itself: a solver alone, such as
    that of `jnp.linalg.solve`, may hide from AD that it depends on A, and parameter gradients would lack that part."""
    *of_solvers, right = _groups(values, const_lengths)
    of_matvec, matvec = of_solvers[0], jaxprs[0]
    fixed, *_ = known = [[primal(value) for value in group] for group in of_solvers]
    algebra = algebra_of(*values)

    def solve(jets: Sequence[Jet]) -> list[Jet]:
        def component(index: int) -> Callable[[Sequence[Array]], Array]:
            return lambda b: primitives.linear_solve_p.bind(
                *chain(*known), *b, const_lengths=const_lengths, jaxprs=jaxprs, **params
            )[index]

        return [jointly_linear(component(index), jets) for index in range(len(jets))]

    solved = solve([value if isinstance(value, Jet) else constant(algebra, value) for value in right])
    found = solved
    for _ in range(algebra.order if any(isinstance(value, Jet) for value in of_matvec) else 0):
        images = [propagate(matvec.jaxpr, matvec.consts, [*constants, *found]) for constants in (of_matvec, fixed)]
        moved = [add(image, kept, -1) for image, kept in zip(*images, strict=True)]
        found = [add(x, change, -1) for x, change in zip(solved, solve(moved), strict=True)]
    return found


def _groups(values: Sequence[Value], lengths: Sequence[int]) -> list[Sequence[Value]]:
    """The values in groups of the given lengths, and the rest."""
    bounds = [0, *accumulate(lengths), len(values)]
    return [values[start:stop] for start, stop in pairwise(bounds)]


@rule(primitives.lu_p)
def lu(a: Jet) -> list[Value]:
    """P(A + E) = L(I + X)(I + Y)U with X strictly lower and Y upper triangular: X + Y + XY = L⁻¹PEU⁻¹."""
    packed, pivots, permutation = linalg.lu(a.primal)
    rows, columns = a.shape[-2:]
    short = min(rows, columns)

    def square(t: Array, size: int) -> Array:
        """With further rows and columns of an identity matrix."""
        filling = [(0, 0)] * (t.ndim - 2) + [(0, size - t.shape[-2]), (0, size - t.shape[-1])]
        tail = jnp.diag(jnp.where(jnp.arange(size) < short, 0, 1).astype(t.dtype))
        return jnp.pad(t, filling) + tail

    eye = jnp.eye(rows, short, dtype=a.dtype)
    left = square(jnp.tril(packed[..., :short], -1) + eye, rows)
    right = square(jnp.triu(packed[..., :short, :]), columns)

    def whitened(t: Array) -> Array:
        t = jnp.take_along_axis(t, permutation[..., None], -2)
        t = linalg.triangular_solve(left, t, left_side=True, lower=True, unit_diagonal=True)
        return linalg.triangular_solve(right, t, left_side=False, lower=False)

    def lower(t: Array) -> Array:
        return jnp.tril(t, -1)[..., :short]

    def upper(t: Array) -> Array:
        return jnp.triu(t)[..., :short, :]

    change = linear(whitened, _change(a))
    found = change
    for _ in range(_passes(a)):
        found = add(change, _matmul(linear(lower, found), linear(upper, found)), -1)
    of_left = linear(lambda t: jnp.tril(left @ _wide(lower(t), columns), -1), found)
    of_right = linear(lambda t: jnp.triu(_tall(upper(t), rows) @ right), found)
    return [_with_primal(packed, add(of_left, of_right)), pivots, permutation]


def _wide(t: Array, columns: int) -> Array:
    return jnp.pad(t, [(0, 0)] * (t.ndim - 1) + [(0, columns - t.shape[-1])])


def _tall(t: Array, rows: int) -> Array:
    return _wide(t.mT, rows).mT


def _trace_of_product(a: Jet, b: Jet) -> Jet:
    """tr(AB) = Σ_ij A_ij B_ji."""
    return linear(lambda t: t.sum((-2, -1)), times(a, linear(lambda t: t.mT, b)))


def _is_of_last_axes(closed: ClosedJaxpr) -> bool:
    """Whether the argument is factorized as it is; under `vmap` the axes of a matrix may come first."""
    first = closed.jaxpr.eqns[0]
    return first.primitive is primitives.lu_p and first.invars == closed.jaxpr.invars


@rule_by_name("_slogdet_lu", _is_of_last_axes)
def slogdet(_: ClosedJaxpr, a: Value) -> list[Value]:
    """log det(A + E) = log det A + Σ_m (−1)^(m+1)/m · tr X^m with X = A⁻¹E; a power of X is made of two halves, which
    meet in a trace only. The imaginary part of a complex logarithm is the angle of the sign."""
    sign, logarithm = jnp.linalg.slogdet(primal(a))
    if not isinstance(a, Jet) or not a.present:
        return [sign, logarithm]
    first = Jet(a.algebra, jnp.zeros_like(a.primal), rest=_solved_at_once(a.primal, a.rest), present=a.present)
    powers = [first]
    while 2 * len(powers) < a.algebra.order:
        powers.append(_matmul(powers[-1], first))
    found = linear(lambda t: jnp.trace(t, axis1=-2, axis2=-1), first)
    for m in range(2, a.algebra.order + 1):
        trace = _trace_of_product(powers[(m + 1) // 2 - 1], powers[m // 2 - 1])
        found = add(found, linear(lambda t, m=m: t * ((-1) ** (m + 1) / m), trace))
    if not jnp.iscomplexobj(sign):
        return [sign, _with_primal(logarithm, found)]
    turned = elementwise(exponential, linear(lambda t: 1j * t.imag, found))
    return [linear(lambda t: sign * t, turned), _with_primal(logarithm, linear(jnp.real, found))]


def _solved_at_once(matrix: Array, right: Array) -> Array:
    """A⁻¹B for matrices (..., n, n) and (components, ..., n, n), with all columns as those of one right-hand side."""
    columns = jnp.moveaxis(right, 0, -2).reshape(*matrix.shape[:-1], -1)
    found = jnp.linalg.solve(matrix, columns)
    return jnp.moveaxis(found.reshape(*matrix.shape[:-1], len(right), -1), -2, 0)


@rule(primitives.cholesky_p)
def cholesky(a: Jet, **params: object) -> Jet:
    """The factor of A + E is L(I + N) with A = LLᴴ and a lower triangular N: N + Nᴴ + NNᴴ = L⁻¹EL⁻ᴴ.

    The lower triangle of a Hermitian matrix S with half its diagonal solves N + Nᴴ = S.
    """
    known = primitives.cholesky_p.bind(a.primal, **params)
    factor = jnp.tril(known)  # the primitive leaves the other triangle as it is

    def whitened(t: Array) -> Array:
        half = linalg.triangular_solve(factor, _hermitian(t), left_side=True, lower=True)
        return linalg.triangular_solve(factor, half, left_side=False, lower=True, transpose_a=True, conjugate_a=True)

    def lower(t: Array) -> Array:
        return (jnp.tril(t) + jnp.tril(t, -1)) / 2

    change = linear(whitened, _change(a))
    found = linear(lower, change)
    for _ in range(_passes(a)):
        found = linear(lower, add(change, _matmul(found, _adjoint(found)), -1))
    return _with_primal(known, linear(lambda t: factor @ t, found))


@rule(primitives.qr_p)
def qr(a: Jet, *, pivoting: bool, full_matrices: bool, use_magma: bool | None) -> list[Value]:
    """The factors of A + E are (Q + G)(I + M)⁻¹ and (I + M)R with G = ER⁻¹ and an upper triangular M:
    M + Mᴴ + MᴴM = QᴴG + GᴴQ + GᴴG."""
    rows, columns = a.shape[-2:]
    if pivoting or rows < columns or (full_matrices and rows != columns):
        raise MissingRule(
            "qr has a rule for matrices with at least as many rows as columns, full_matrices=False, without pivoting; "
            "for others the derivative is not defined or JAX does not have it either."
        )
    q, r = primitives.qr_p.bind(a.primal, pivoting=pivoting, full_matrices=full_matrices, use_magma=use_magma)

    def divided(t: Array) -> Array:
        return linalg.triangular_solve(r, t, left_side=False, lower=False)

    def upper(t: Array) -> Array:
        return (jnp.triu(t) + jnp.triu(t, 1)) / 2

    moved = linear(divided, _change(a))
    across = _matmul(_adjoint(q), moved)
    change = add(add(across, _adjoint(across)), _matmul(_adjoint(moved), moved))
    found = linear(upper, change)
    for _ in range(_passes(a)):
        found = linear(upper, add(change, _matmul(_adjoint(found), found), -1))
    orthogonal = moved
    for _ in range(a.algebra.order if a.present else 0):
        orthogonal = add(moved, _matmul(_with_primal(q, orthogonal), found), -1)
    return [_with_primal(q, orthogonal), _with_primal(r, linear(lambda t: t @ r, found))]


def _perturbed(values: Array, change: Jet) -> tuple[Jet, Jet]:
    """D and Z with (Λ + F)(I + Z) = (I + Z)(Λ + D), D diagonal and I + Z unitary: perturbation theory to all orders.

    Args:
        values: Λ, (..., n).
        change: F, Hermitian and nilpotent, (..., n, n).
    """
    same = jnp.eye(values.shape[-1], dtype=bool)
    gaps = jnp.where(same, 0, 1 / jnp.where(same, 1, values[..., None, :] - values[..., :, None]))

    def off_diagonal(t: Array) -> Array:
        return t * gaps

    shift = linear(_diagonal, change)
    vectors = linear(off_diagonal, change)
    for _ in range(_passes(change)):
        whole = add(change, _matmul(change, vectors))
        pulled = _matmul(vectors, shift)
        norm = linear(lambda t: -0.5 * _diagonal(t), _matmul(_adjoint(vectors), vectors))
        residual = add(whole, pulled, -1)
        shift, vectors = linear(_diagonal, residual), add(linear(off_diagonal, residual), norm)
    return linear(lambda t: jnp.diagonal(t, axis1=-2, axis2=-1).real, shift), vectors


@rule(primitives.eigh_p)
def eigh(a: Jet, **params: object) -> list[Value]:
    """Eigenvectors and eigenvalues of a Hermitian matrix whose eigenvalues differ. Eigenvectors of complex matrices
    are defined up to a phase: theirs stays where it is, so that only what does not depend on it has derivatives."""
    basis, values = primitives.eigh_p.bind(a.primal, **params)
    if basis.shape[-1] != a.shape[-1]:
        raise MissingRule("eigh has a rule for all eigenvalues together: leave subset_by_index out.")
    lower = params["lower"]
    change = linear(lambda t: basis.mT.conj() @ _hermitian(t if lower else t.mT.conj()) @ basis, _change(a))
    shift, vectors = _perturbed(values, change)
    return [_with_primal(basis, linear(lambda t: basis @ t, vectors)), _with_primal(values, shift)]


@rule(primitives.svd_p)
def svd(a: Jet, *, full_matrices: bool, compute_uv: bool, subset_by_index: object, **params: object) -> list[Value]:
    """Singular values s and vectors of a matrix whose singular values differ and are positive: s² and U are those of
    AAᴴ, and Vᴴ = UᴴA/s."""
    rows, columns = a.shape[-2:]
    if subset_by_index is not None or (compute_uv and full_matrices and rows != columns):
        raise MissingRule("svd has a rule for all singular values, with full_matrices=False for vectors of them.")
    if rows > columns:
        found = svd(_adjoint(a), full_matrices=False, compute_uv=compute_uv, subset_by_index=subset_by_index, **params)
        return [found[0], _adjoint(found[2]), _adjoint(found[1])] if compute_uv else found
    known, u, vh = primitives.svd_p.bind(
        a.primal, full_matrices=False, compute_uv=True, subset_by_index=subset_by_index, **params
    )
    moved = linear(lambda t: u.mT.conj() @ t, _change(a))  # UᴴE
    first = _matmul(moved, vh.mT.conj() * known[..., None, :])
    change = add(add(first, _adjoint(first)), _matmul(moved, _adjoint(moved)))
    shift, vectors = _perturbed(known**2, change)
    squares = _with_primal(known**2, shift)
    values = _with_primal(known, elementwise(lambda t, order: real_power(t, order, 0.5), squares))
    if not compute_uv:
        return [values]
    left = _with_primal(u, linear(lambda t: u @ t, vectors))
    inverse = elementwise(lambda t, order: real_power(t, order, -1), values)
    scaled = times(_matmul(_adjoint(left), a), linear(lambda t: t[..., None], inverse))
    return [values, left, _with_primal(vh, scaled)]
