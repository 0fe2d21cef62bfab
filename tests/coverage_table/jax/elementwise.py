"""Smooth functions applied entry by entry."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import special

from coverage_table.jax.inputs import features, positive


def flipped(h):
    return jnp.flip(h, -1)


FUNCTIONS = {
    "sqrt": lambda x: jnp.sqrt(positive(x)),
    "rsqrt": lambda x: lax.rsqrt(positive(x)),
    "cbrt": lambda x: jnp.cbrt(features(x) + 3),
    "square": lambda x: jnp.square(features(x)),
    "exp": lambda x: jnp.exp(features(x)),
    "exp2": lambda x: jnp.exp2(features(x)),
    "expm1": lambda x: jnp.expm1(features(x)),
    "log": lambda x: jnp.log(positive(x)),
    "log2": lambda x: jnp.log2(positive(x)),
    "log10": lambda x: jnp.log10(positive(x)),
    "log1p": lambda x: jnp.log1p(positive(x)),
    "abs": lambda x: jnp.abs(features(x)) ** 3,
    "sign": lambda x: jnp.sign(features(x)) * features(x) ** 2,
    "erf": lambda x: special.erf(features(x)),
    "erfc": lambda x: special.erfc(features(x)),
    "erfinv": lambda x: special.erfinv(features(x) / 4),
    "lgamma": lambda x: special.gammaln(positive(x)),
    "digamma": lambda x: special.digamma(positive(x)),
    "sin": lambda x: jnp.sin(3 * features(x)),
    "cos": lambda x: jnp.cos(3 * features(x)),
    "tan": lambda x: jnp.tan(features(x) / 3),
    "asin": lambda x: jnp.arcsin(features(x) / 4),
    "acos": lambda x: jnp.arccos(features(x) / 4),
    "atan": lambda x: jnp.arctan(features(x)),
    "atan2": lambda x: jnp.arctan2(features(x), flipped(positive(x))),
    "sinh": lambda x: jnp.sinh(features(x)),
    "cosh": lambda x: jnp.cosh(features(x)),
    "asinh": lambda x: jnp.arcsinh(features(x)),
    "acosh": lambda x: jnp.arccosh(1 + positive(x)),
    "atanh": lambda x: jnp.arctanh(features(x) / 4),
    "sinc": lambda x: jnp.sinc(features(x)),
    "hypot": lambda x: jnp.hypot(features(x), positive(x)),
    "logaddexp": lambda x: jnp.logaddexp(features(x), flipped(features(x))),
    "logaddexp2": lambda x: jnp.logaddexp2(features(x), flipped(features(x))),
    "xlogy": lambda x: special.xlogy(features(x), flipped(positive(x))),
    "entropy": lambda x: special.entr(positive(x)),
    "logit": lambda x: special.logit(jax.nn.sigmoid(features(x)) * 0.9 + 0.05),
    "deg2rad": lambda x: jnp.deg2rad(features(x) ** 2),
    "normal_cdf": lambda x: special.log_ndtr(features(x)),
    "bessel": lambda x: special.i0e(features(x)) + special.i1e(features(x)),
}
