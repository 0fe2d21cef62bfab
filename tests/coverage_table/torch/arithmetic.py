"""Sums, products, quotients and powers."""

from __future__ import annotations

import torch

from coverage_table.torch.inputs import features, positive

FUNCTIONS = {
    "sum_of_products": lambda x: 2 * features(x) * features(x).flip(-1) - features(x) / 3 + 1,
    "broadcast": lambda x: features(x)[..., None] * x[..., None, :] + x[..., :1, None],
    "add_alpha": lambda x: torch.add(features(x), x[..., :1], alpha=2) * torch.sub(1, x[..., :1], alpha=3),
    "division": lambda x: features(x) / positive(x.flip(-1)),
    "division_of_number": lambda x: 2 / (3 + features(x)),
    "division_broadcast": lambda x: features(x) / positive(x)[..., :1],
    "reciprocal": lambda x: torch.reciprocal(features(x) + 3),
    "negative_base_cubed": lambda x: features(x) ** 3,
    "negative_base_real_whole": lambda x: features(x) ** 3.0,
    "negative_power": lambda x: (features(x) - 4) ** -2,
    "real_power": lambda x: positive(x) ** 2.5,
    "negative_real_power": lambda x: positive(x) ** -0.3,
    "power_zero": lambda x: features(x) ** 0 + x[..., :1],
    "power_one": lambda x: features(x) ** 1,
    "power_of_tensor": lambda x: features(x) ** torch.tensor([0.0, 1, 2, 3, 4, 5], dtype=x.dtype),
    "power_of_integers": lambda x: features(x) ** torch.arange(6),
    "exponent_depends_on_x": lambda x: positive(x) ** features(x).flip(-1),
    "exponential_of_number": lambda x: 1.7 ** features(x),
    "float_power": lambda x: torch.float_power(positive(x), 1.5),
    "remainder": lambda x: torch.remainder(3 * features(x), 1.3) ** 2,
    "fmod": lambda x: torch.fmod(3 * features(x), 1.3) ** 2,
    "floor": lambda x: features(x) * torch.floor(5 * features(x)),
    "addcmul": lambda x: torch.addcmul(features(x), x[..., :1], features(x), value=0.3),
    "addcdiv": lambda x: torch.addcdiv(features(x), x[..., :1], positive(x), value=0.3),
    "lerp": lambda x: torch.lerp(features(x), features(x).flip(-1), 0.3),
    "lerp_of_x": lambda x: torch.lerp(features(x), features(x).flip(-1), x[..., :1]),
}
