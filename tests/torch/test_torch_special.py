"""Special functions of PyTorch against mpmath, in orders 1 to 4."""

import mpmath as mp
import pytest
import torch

from torch_truth import Cylinder, assert_true, jets, true

SPECIAL = {
    "bessel_j0": (torch.special.bessel_j0, lambda t: mp.besselj(0, t), (0.0, 0.3, -1.9, 2.1, 20.0)),
    "bessel_j1": (torch.special.bessel_j1, lambda t: mp.besselj(1, t), (0.0, 0.3, -1.9, 2.1)),
    "bessel_y0": (torch.special.bessel_y0, Cylinder(mp.bessely, 0), (0.3, 2.1)),
    "bessel_y1": (torch.special.bessel_y1, Cylinder(mp.bessely, 1), (0.3, 2.1)),
    "i0": (torch.i0, lambda t: mp.besseli(0, t), (0.0, 0.3, -1.9, 2.1, 9.0)),
    "i1": (torch.special.i1, lambda t: mp.besseli(1, t), (0.0, 0.3, -2.1)),
    "i0e": (torch.special.i0e, lambda t: mp.besseli(0, t) * mp.exp(-abs(t)), (0.3, -2.1, 9.0, 800.0)),
    "i1e": (torch.special.i1e, lambda t: mp.besseli(1, t) * mp.exp(-abs(t)), (0.3, -2.1, 800.0)),
    "modified_i0": (torch.special.modified_bessel_i0, lambda t: mp.besseli(0, t), (0.3,)),
    "modified_i1": (torch.special.modified_bessel_i1, lambda t: mp.besseli(1, t), (0.3,)),
    "k0": (torch.special.modified_bessel_k0, lambda t: mp.besselk(0, t), (0.3,)),
    "k1": (torch.special.modified_bessel_k1, lambda t: mp.besselk(1, t), (0.3,)),
    "k0e": (torch.special.scaled_modified_bessel_k0, lambda t: mp.besselk(0, t) * mp.exp(t), (0.3, 800.0)),
    "k1e": (torch.special.scaled_modified_bessel_k1, lambda t: mp.besselk(1, t) * mp.exp(t), (0.3, 800.0)),
    "spherical_j0": (torch.special.spherical_bessel_j0, mp.sinc, (0.0, 0.3, 4.0)),
    "erfcx": (torch.special.erfcx, lambda t: mp.exp(t * t) * mp.erfc(t), (0.0, 0.5, -1.0)),
    "log_ndtr": (torch.special.log_ndtr, lambda t: mp.log(mp.ncdf(t)), (0.0, -8.0, 5.0)),
    "ndtr": (torch.special.ndtr, mp.ncdf, (0.0, -8.0, 5.0)),
    "ndtri": (torch.special.ndtri, lambda t: mp.sqrt(2) * mp.erfinv(2 * t - 1), (0.5, 0.1)),
    "gammainc": (
        lambda y: torch.special.gammainc(torch.full_like(y, 2.5), y),
        lambda t: mp.gammainc(2.5, 0, t, regularized=True),
        (0.5, 3.0),
    ),
    "gammaincc": (
        lambda y: torch.special.gammaincc(torch.full_like(y[:1], 1.0), y),
        lambda t: mp.gammainc(1, t, regularized=True),
        (0.5, 3.0),
    ),
    "zeta": (lambda y: torch.special.zeta(3.0, y), lambda t: mp.zeta(3, t), (0.5, 2.0)),
    "zeta_of_tensor": (lambda y: torch.special.zeta(torch.full_like(y, 2.5), y), lambda t: mp.zeta(2.5, t), (0.5,)),
    "multigammaln": (
        lambda y: torch.special.multigammaln(y, 2),
        lambda t: mp.log(mp.pi) / 2 + mp.loggamma(t) + mp.loggamma(t - 0.5),
        (1.5,),
    ),
    **{
        name: (lambda y, name=name, n=n: getattr(torch.special, name)(y, n), formula, points)
        for name, n, formula, points in (
            ("chebyshev_polynomial_t", 4, lambda t: 8 * t**4 - 8 * t**2 + 1, (0.3, 0.0, 1.0, 2.0)),
            ("chebyshev_polynomial_u", 3, lambda t: 8 * t**3 - 4 * t, (0.3, 0.0)),
            ("chebyshev_polynomial_v", 2, lambda t: 4 * t**2 - 2 * t - 1, (0.3, 0.0)),
            ("chebyshev_polynomial_w", 2, lambda t: 4 * t**2 + 2 * t - 1, (0.3, 0.0)),
            ("shifted_chebyshev_polynomial_t", 2, lambda t: 2 * (2 * t - 1) ** 2 - 1, (0.3, 0.0)),
            ("hermite_polynomial_h", 3, lambda t: 8 * t**3 - 12 * t, (0.3, 0.0)),
            ("hermite_polynomial_he", 4, lambda t: t**4 - 6 * t**2 + 3, (0.3, 0.0)),
            ("laguerre_polynomial_l", 3, lambda t: (-(t**3) + 9 * t**2 - 18 * t + 6) / 6, (0.3, 0.0)),
            ("legendre_polynomial_p", 4, lambda t: (35 * t**4 - 30 * t**2 + 3) / 8, (0.3, 0.0)),
        )
    },
    "chebyshev_of_degree_0": (lambda y: torch.special.chebyshev_polynomial_t(y, 0) * y, lambda t: t, (0.3,)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_value(name):
    function, formula, points = SPECIAL[name]
    assert_true(jets(function, points), true(formula, points))
