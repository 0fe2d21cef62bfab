"""The operator zoo: one short function each, with formula, field of use and source.

Operators of one's own are written the same way, in any file, with the decorator `operator`;
`jetbench.operators.load` runs that file.
Operators with time take it as the first coordinate, x = (t, x_1, …, x_d) with D = d + 1. Where an equation fixes the
number of its coordinates, further ones are parameters of the solution: it is not differentiated in them.
Nonlinear equations are given as the system of linear parts that their residual needs, all from one pass; the output
"u" is the function itself, "linear" the sum of all linear terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jetbench.algebra.arrays import like
from jetbench.operators.coefficients import (
    drifted,
    ornstein_uhlenbeck,
    quadratic_diffusion,
    triangular_diffusion,
    with_identity,
)
from jetbench.operators.problem import Operator
from jetbench.operators.registry import operator
from jetbench.operators.symbol import Symbol, variables


@operator
def laplacian(dim: int = 50) -> Symbol:
    """Δu = Σ_i ∂_i²u: diffusion, potentials, the kinetic energy of quantum mechanics.

    Source: any text on PDEs, e.g. Evans, Partial Differential Equations (2010), section 2.2.
    """
    xi = variables(dim)
    return xi @ xi


@operator
def weighted_laplacian(
    dim: int = 50,
    matrix: np.ndarray | Sequence | Callable | None = None,
    rank: int | float | None = None,
    factor: np.ndarray | Sequence | Callable | None = None,
    signature: Sequence[float] | None = None,
) -> Symbol | Operator:
    """tr(A ∇²u) = Σ_ij A_ij ∂_i∂_j u, A symmetric: anisotropic diffusion, generators of stochastic processes.

    A is given in one of these ways:

    - nothing, or `rank`: diag(1, 2, …, r, 0, …, 0), r a count (int) or the share ⌊rank·D⌋ of all (float ≤ 1); the
      matrices of the rank study of arXiv 2505.13644;
    - `matrix`: a constant symmetric array of any rank and signature, or a function x ↦ A(x) from (..., D) to
      (..., D, D); then Σ_i ∂_{e_i}∂_{A e_i} takes 2·D directions without a decomposition of A;
    - `factor`: σ with A = σ diag(signature) σᵀ, an array (D, R) or a function x ↦ σ(x) from (..., D) to (..., D, R).
      `signature` has R entries, by default D ones.

    Source: Li et al., DOF, arXiv 2402.09730; Dangel et al., arXiv 2505.13644.
    """
    if sum(way is not None for way in (matrix, rank, factor)) > 1:
        raise ValueError("weighted_laplacian takes one of matrix, rank and factor.")
    if signature is not None and factor is None:
        raise ValueError("weighted_laplacian takes a signature only together with a factor.")
    if factor is not None:
        factor = factor if callable(factor) else np.asarray(factor, dtype=float)
        if not callable(factor) and (factor.ndim != 2 or not np.isfinite(factor).all()):
            raise ValueError(f"factor must be an array (D, R) of finite numbers; got shape {factor.shape}.")
        ones = [1.0] * (dim if callable(factor) else factor.shape[-1])
        signs = ones if signature is None else signature
        zeta = variables(len(signs))
        symbol = zeta @ [float(sign) * z for sign, z in zip(signs, zeta, strict=True)]
        return Operator("weighted_laplacian", dim, {"": symbol}, factor)
    if callable(matrix):
        zeta = variables(2 * dim)
        return Operator("weighted_laplacian", dim, {"": zeta[:dim] @ zeta[dim:]}, with_identity(matrix, dim))
    if matrix is None:
        count = _rank(dim, 1.0 if rank is None else rank)
        xi = variables(dim)[:count]
        return xi @ [k * x for k, x in enumerate(xi, 1)]
    given, matrix = matrix, np.asarray(matrix)
    if matrix.dtype.kind not in "biufO" or not np.isfinite(matrix := matrix.astype(float)).all():
        raise ValueError(f"matrix must be real with finite entries; got {given!r}.")
    if matrix.shape != (dim, dim) or not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
        raise ValueError(f"matrix must be symmetric of shape {(dim, dim)}; got shape {matrix.shape}.")
    entries = zip(*np.nonzero(np.triu(matrix)), strict=True)
    axes = np.eye(dim, dtype=int)
    return Symbol(
        dim, {tuple((axes[i] + axes[j]).tolist()): float(matrix[i, j]) * (1 if i == j else 2) for i, j in entries}
    )


@operator
def biharmonic(dim: int = 5) -> Symbol:
    """Δ²u = Σ_ij ∂_i²∂_j²u: bending of thin plates, streamfunctions of Stokes flow.

    Source: Timoshenko and Woinowsky-Krieger, Theory of Plates and Shells (1959).
    """
    xi = variables(dim)
    return (xi @ xi) ** 2


@operator
def triharmonic(dim: int = 3) -> Symbol:
    """Δ³u: smoothing splines of sixth order, phase-field crystals.

    Source: Elder and Grant, Phys. Rev. E 70, 051605 (2004).
    """
    xi = variables(dim)
    return (xi @ xi) ** 3


@operator
def mixed_partial(dim: int = 2, exponents: Sequence[int] | None = None) -> Symbol:
    """∂^α u for one multi-index α: any single entry of any derivative tensor.

    `exponents` may be shorter than D, the rest is 0; by default every one of the first two coordinates twice.
    Source: Griewank, Utke, Walther, Math. Comp. 69, 1117 (2000).
    """
    exponents = (2,) * min(dim, 2) if exponents is None else tuple(exponents)
    if len(exponents) > dim:
        raise ValueError(f"mixed_partial in {dim} dimensions takes at most {dim} exponents; got {len(exponents)}.")
    return Symbol(dim, {exponents + (0,) * (dim - len(exponents)): 1})


@operator(min_dim=2)
def anisotropic_plate(dim: int = 2, d11: float = 3.0, d12: float = 0.5, d22: float = 2.0, d66: float = 1.0) -> Symbol:
    """D₁₁u_xxxx + 2(D₁₂ + 2D₆₆)u_xxyy + D₂₂u_yyyy: bending of an orthotropic laminate, x and y the first coordinates.

    Source: Reddy, Mechanics of Laminated Composite Plates and Shells (2003), chapter 5.
    """
    x, y = variables(dim)[:2]
    return d11 * x**4 + 2 * (d12 + 2 * d66) * (x**2 * y**2) + d22 * y**4


@operator
def helmholtz(dim: int = 2, wavenumber: float = 1.0) -> Symbol:
    """Δu + k²u: time-harmonic sound and light; also the stationary Schrödinger equation of a free particle.

    Source: Colton and Kress, Inverse Acoustic and Electromagnetic Scattering Theory (2013).
    """
    xi = variables(dim)
    return xi @ xi + wavenumber**2


@operator(min_dim=2)
def heat(dim: int = 2, diffusivity: float = 1.0) -> Symbol:
    """u_t − κΔu in (t, x_1, …, x_d): conduction of heat, diffusion.

    Source: Evans, Partial Differential Equations (2010), section 2.3.
    """
    t, *_ = xi = variables(dim)
    return t - diffusivity * (xi[1:] @ xi[1:])


@operator(min_dim=2)
def wave(dim: int = 2, speed: float = 1.0) -> Symbol:
    """u_tt − c²Δu in (t, x_1, …, x_d): sound, strings, membranes; an indefinite form.

    Source: Evans, Partial Differential Equations (2010), section 2.4.
    """
    t, *_ = xi = variables(dim)
    return t**2 - speed**2 * (xi[1:] @ xi[1:])


@operator(min_dim=2)
def kolmogorov_backward(
    dim: int = 6, drift: Callable | None = None, diffusion: Callable | None = None, noise: int | None = None
) -> Operator:
    """u_t + b(x)·∇u + ½ tr(σσᵀ(x) ∇²u) in (t, x_1, …, x_d): expectations of a diffusion dX = b dt + σ dW.

    `drift` maps x (..., D), time included, to b (..., d); `diffusion` to σ (..., d, m) with m = `noise`, by default d.
    The defaults are b = −x and σ = S + ¼ x xᵀ with a constant triangular S.
    Source: Øksendal, Stochastic Differential Equations (2003), chapter 8.
    """
    noise = _noise(dim, noise)
    zeta = variables(noise + 1)
    symbol = zeta[noise] + 0.5 * (zeta[:noise] @ zeta[:noise])
    factor = drifted(drift or ornstein_uhlenbeck, diffusion or quadratic_diffusion, dim, noise)
    return Operator("kolmogorov_backward", dim, {"": symbol}, factor)


@operator(min_dim=2)
def fokker_planck(
    dim: int = 6,
    drift: Callable | None = None,
    diffusion: Callable | None = None,
    noise: int | None = None,
    reaction: float | None = None,
) -> Operator:
    """p_t + ∇·(b p) − ½ Σ_ij ∂_i∂_j((σσᵀ)_ij p) in (t, x_1, …, x_d): densities of a diffusion dX = b dt + σ dW.

    Written out it is p_t + c·∇p − ½ tr(σσᵀ ∇²p) + r·p with c = b − div(σσᵀ) and r = ∇·b − ½ Σ_ij ∂_i∂_j(σσᵀ)_ij.
    `drift` maps x (..., D), time included, to c (..., d), which is b where σ is constant; `diffusion` to σ (..., d, m)
    with m = `noise`, by default d. `reaction` is r where it is a constant, by default 0; a varying r(x)·p is left to
    the caller, since it needs no derivative. Without arguments: the Ornstein–Uhlenbeck process b = −x, r = −d, with
    a constant triangular σ.
    Source: Risken, The Fokker–Planck Equation (1996), chapter 4.
    """
    noise = _noise(dim, noise)
    if reaction is None:
        reaction = -(dim - 1) if drift is None and diffusion is None else 0
    zeta = variables(noise + 1)
    symbol = zeta[noise] - 0.5 * (zeta[:noise] @ zeta[:noise]) + reaction
    factor = drifted(drift or ornstein_uhlenbeck, diffusion or triangular_diffusion, dim, noise)
    return Operator("fokker_planck", dim, {"": symbol}, factor)


@operator(min_dim=2)
def black_scholes(
    dim: int = 6,
    rate: float = 0.05,
    volatility: float | Sequence[float] = 0.2,
    correlation: float | Sequence[Sequence[float]] = 0.3,
) -> Operator:
    """V_t + ½ Σ_ij ρ_ij v_i v_j S_i S_j ∂_i∂_j V + r Σ_i S_i ∂_i V − rV in (t, S_1, …, S_d): prices of basket options.

    `volatility` is one number or one for each asset, `correlation` the positive semidefinite matrix ρ or the number
    in all its off-diagonal entries.
    Source: Black and Scholes, J. Political Economy 81, 637 (1973).
    """
    assets = dim - 1
    rho = np.asarray(correlation, dtype=float)
    if rho.ndim == 0:
        rho = np.full((assets, assets), float(rho)) + (1 - float(rho)) * np.eye(assets)
    correlated = _root(rho) if rho.shape == (assets, assets) else None
    if correlated is None:
        raise ValueError(f"correlation must be a number or a positive semidefinite ({assets}, {assets}) matrix.")
    volatilities = np.asarray(volatility, dtype=float)
    if volatilities.shape not in ((), (assets,)):
        raise ValueError(f"volatility must be a number or one for each of {assets} assets; got {volatility!r}.")
    if not np.isfinite(volatilities).all():
        raise ValueError(f"volatility must be finite; got {volatility!r}.")
    root = volatilities.reshape(-1, 1) * correlated

    def drift(x: Any) -> Any:
        return rate * x[..., 1:]

    def diffusion(x: Any) -> Any:
        return x[..., 1:, None] * like(root, x)

    zeta = variables(dim)
    symbol = zeta[assets] + 0.5 * (zeta[:assets] @ zeta[:assets]) - rate
    return Operator("black_scholes", dim, {"": symbol}, drifted(drift, diffusion, dim, assets))


@operator(min_dim=2, max_dim=400)
def linear_elasticity(dim: int = 3, lame_lambda: float = 1.0, lame_mu: float = 0.5) -> Operator:
    """μΔu + (λ + μ)∇(∇·u) for displacements u with D components: the Navier–Cauchy equations of an elastic solid.

    The network must have D outputs; all second derivatives come from one pass and are then combined.
    Source: Landau and Lifshitz, Theory of Elasticity (1986), section 7.
    """
    symbols = hessian(dim=dim).symbols

    def combine(parts: Any) -> Any:
        total = 0
        for name, part in parts.items():
            if part.shape[-1] != dim:
                raise ValueError(f"linear_elasticity needs a network of {dim} outputs; got {part.shape[-1]}.")
            (term,) = symbols[name].terms
            i, j = (index for index, e in enumerate(term) for _ in range(e))
            mixing = np.zeros((dim, dim))
            mixing[i, j] = mixing[j, i] = lame_lambda + lame_mu
            total = total + part @ like(mixing + (lame_mu * np.eye(dim) if i == j else 0), part)
        return total

    return Operator("linear_elasticity", dim, symbols, combine=combine, components=dim)


@operator(min_dim=2)
def kdv(dim: int = 2) -> dict[str, Symbol]:
    """The parts of u_t + 6u u_x + u_xxx in (t, x): shallow water waves, solitons.

    Source: Korteweg and de Vries, Phil. Mag. 39, 422 (1895).
    """
    t, x = variables(dim)[:2]
    return {"u": t**0, "u_t": t, "u_x": x, "u_xxx": x**3}


@operator(min_dim=3)
def kadomtsev_petviashvili(dim: int = 3, sign: float = 1.0) -> dict[str, Symbol]:
    """The parts of (u_t + 6u u_x + u_xxx)_x + 3s u_yy in (t, x, y): solitons in two dimensions, s = ±1.

    "linear" is u_tx + u_xxxx + 3s u_yy; the residual is linear + 6(u_x² + u u_xx).
    Source: Kadomtsev and Petviashvili, Sov. Phys. Dokl. 15, 539 (1970).
    """
    t, x, y = variables(dim)[:3]
    return {"u": t**0, "u_x": x, "u_xx": x**2, "linear": t * x + x**4 + 3 * sign * y**2}


@operator(min_dim=2)
def kuramoto_sivashinsky(dim: int = 2) -> dict[str, Symbol]:
    """The parts of u_t + Δu + Δ²u + ½|∇u|² in (t, x_1, …, x_d): flame fronts, chaos in space and time.

    "linear" is u_t + Δu + Δ²u.
    Source: Kuramoto and Tsuzuki, Prog. Theor. Phys. 55, 356 (1976); Sivashinsky, Acta Astronautica 4, 1177 (1977).
    """
    t, *_ = xi = variables(dim)
    spatial = xi[1:] @ xi[1:]
    return {"linear": t + spatial + spatial**2, **_gradient(dim)}


@operator(min_dim=2)
def cahn_hilliard(dim: int = 3, gamma: float = 0.01) -> dict[str, Symbol]:
    """The parts of u_t − Δ(u³ − u) + γΔ²u in (t, x_1, …, x_d): separation of phases.

    "linear" is u_t + Δu + γΔ²u; the residual is linear − 3u²Δu − 6u|∇u|².
    Source: Cahn and Hilliard, J. Chem. Phys. 28, 258 (1958).
    """
    t, *_ = xi = variables(dim)
    spatial = xi[1:] @ xi[1:]
    linear = t + spatial + gamma * spatial**2
    return {"u": t**0, "linear": linear, "laplacian": spatial, **_gradient(dim)}


@operator(min_dim=2)
def burgers(dim: int = 2, viscosity: float = 0.01) -> dict[str, Symbol]:
    """The parts of u_t + (u·∇)u − νΔu in (t, x_1, …, x_d): shocks; a model of turbulence.

    "linear" is u_t − νΔu; a network of d outputs gives every part for each of them.
    Source: Burgers, Adv. Appl. Mech. 1, 171 (1948).
    """
    t, *_ = xi = variables(dim)
    return {"u": t**0, "linear": t - viscosity * (xi[1:] @ xi[1:]), **_gradient(dim)}


@operator(min_dim=3)
def navier_stokes(dim: int = 3) -> dict[str, Symbol]:
    """The parts of u_t + (u·∇)u + ∇p − νΔu and ∇·u in (t, x_1, …, x_d): incompressible flow.

    A network of d + 1 outputs (velocity, pressure) gives every part for each of them; the viscosity is the caller's.
    Source: Landau and Lifshitz, Fluid Mechanics (1987), section 15.
    """
    t, *_ = xi = variables(dim)
    return {"u": t**0, "u_t": t, "laplacian": xi[1:] @ xi[1:], **_gradient(dim)}


@operator
def hessian_diagonal(dim: int = 5) -> dict[str, Symbol]:
    """All ∂_i²u: separable kinetic energies, curvature along coordinates, preconditioners.

    Source: Elsayed et al., Revisiting Scalable Hessian Diagonal Approximations, arXiv 2406.03276.
    """
    return {f"u_x{i}x{i}": x**2 for i, x in enumerate(variables(dim))}


@operator(max_dim=400)
def hessian(dim: int = 5) -> dict[str, Symbol]:
    """All ∂_i∂_j u with i ≤ j: Newton steps, Monge–Ampère equations, elasticity.

    Source: Griewank and Walther, Evaluating Derivatives (2008), chapter 13.
    """
    xi = variables(dim)
    return {f"u_x{i}x{j}": xi[i] * xi[j] for i in range(dim) for j in range(i, dim)}


@operator(max_dim=400)
def gradient_of_laplacian(dim: int = 3) -> dict[str, Symbol]:
    """All ∂_i Δu = Σ_j ∂_i∂_j²u: gradients of PINN residuals and of local energies, third-order dispersion.

    Source: Yu et al., Gradient-enhanced PINNs, Comput. Methods Appl. Mech. Eng. 393, 114823 (2022).
    """
    xi = variables(dim)
    return {f"laplacian_x{i}": x * (xi @ xi) for i, x in enumerate(xi)}


def _gradient(dim: int) -> dict[str, Symbol]:
    """The derivatives in all coordinates but the first, which is time."""
    return {f"u_x{i}": x for i, x in enumerate(variables(dim)) if i}


def _root(matrix: np.ndarray) -> np.ndarray | None:
    """σ with σσᵀ = A for a positive semidefinite A in any units, from its correlations; None where A is not one."""
    scales = np.sqrt(np.abs(np.diag(matrix)))
    scales[scales == 0] = 1
    correlations = matrix / scales / scales[:, None]
    values, columns = np.linalg.eigh(correlations)
    if not np.allclose(correlations, correlations.T) or values[0] < -1e-12:
        return None
    return scales[:, None] * columns * np.sqrt(np.maximum(values, 0))


def _noise(dim: int, noise: int | None) -> int:
    """The number of columns of σ, as many as space coordinates unless given."""
    if noise is None:
        return dim - 1
    if isinstance(noise, bool) or not isinstance(noise, (int, np.integer)) or noise < 1:
        raise ValueError(f"noise, the number of columns of σ, must be a whole number, at least 1; got {noise!r}.")
    return int(noise)


def _rank(dim: int, rank: int | float) -> int:
    """A number of directions from a count or a share."""
    if isinstance(rank, bool) or not isinstance(rank, (int, float, np.integer, np.floating)):
        raise ValueError(f"rank must be a count (int) or a share of dim (float); got {rank!r}.")
    if isinstance(rank, (float, np.floating)):
        if not 0 < rank <= 1:
            raise ValueError(f"rank as a share must be above 0 and at most 1; got {rank!r}.")
        return max(1, int(rank * dim + 1e-9))
    if not 1 <= rank <= dim:
        raise ValueError(f"rank as a count must be between 1 and {dim}; got {rank!r}.")
    return int(rank)
