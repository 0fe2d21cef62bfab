"""Smooth functions applied entry by entry."""

from __future__ import annotations

import torch

from coverage_table.torch.inputs import features, positive

FUNCTIONS = {
    "sqrt": lambda x: torch.sqrt(positive(x)),
    "rsqrt": lambda x: torch.rsqrt(positive(x)),
    "square": lambda x: torch.square(features(x)),
    "exp": lambda x: torch.exp(features(x)),
    "exp2": lambda x: torch.exp2(features(x)),
    "expm1": lambda x: torch.expm1(features(x)),
    "log": lambda x: torch.log(positive(x)),
    "log2": lambda x: torch.log2(positive(x)),
    "log10": lambda x: torch.log10(positive(x)),
    "log1p": lambda x: torch.log1p(positive(x)),
    "abs": lambda x: torch.abs(features(x)) ** 3,
    "sign": lambda x: torch.sign(features(x)) * features(x) ** 2,
    "erf": lambda x: torch.erf(features(x)),
    "erfc": lambda x: torch.erfc(features(x)),
    "erfinv": lambda x: torch.erfinv(features(x) / 4),
    "lgamma": lambda x: torch.lgamma(positive(x)),
    "digamma": lambda x: torch.digamma(positive(x)),
    "sin": lambda x: torch.sin(3 * features(x)),
    "cos": lambda x: torch.cos(3 * features(x)),
    "tan": lambda x: torch.tan(features(x) / 3),
    "asin": lambda x: torch.asin(features(x) / 4),
    "acos": lambda x: torch.acos(features(x) / 4),
    "atan": lambda x: torch.atan(features(x)),
    "atan2": lambda x: torch.atan2(features(x), positive(x).flip(-1)),
    "sinh": lambda x: torch.sinh(features(x)),
    "cosh": lambda x: torch.cosh(features(x)),
    "asinh": lambda x: torch.asinh(features(x)),
    "acosh": lambda x: torch.acosh(1 + positive(x)),
    "atanh": lambda x: torch.atanh(features(x) / 4),
    "sinc": lambda x: torch.sinc(features(x)),
    "hypot": lambda x: torch.hypot(features(x), positive(x)),
    "logaddexp": lambda x: torch.logaddexp(features(x), features(x).flip(-1)),
    "xlogy": lambda x: torch.xlogy(features(x), positive(x).flip(-1)),
    "logit": lambda x: torch.logit(torch.sigmoid(features(x)) * 0.9 + 0.05),
    "deg2rad": lambda x: torch.deg2rad(features(x) ** 2),
}
