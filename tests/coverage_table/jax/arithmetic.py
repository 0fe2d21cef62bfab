"""Sums, products, quotients and powers."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from coverage_table.jax.inputs import features, positive


def flipped(x):
    return jnp.flip(features(x), -1)


FUNCTIONS = {
    "sum_of_products": lambda x: 2 * features(x) * flipped(x) - features(x) / 3 + 1,
    "broadcast": lambda x: features(x)[..., None] * x[..., None, :] + x[..., :1, None],
    "add_alpha": lambda x: (features(x) + 2 * x[..., :1]) * (1 - 3 * x[..., :1]),
    "division": lambda x: features(x) / positive(jnp.flip(x, -1)),
    "division_of_number": lambda x: 2 / (3 + features(x)),
    "division_broadcast": lambda x: features(x) / positive(x)[..., :1],
    "reciprocal": lambda x: jnp.reciprocal(features(x) + 3),
    "negative_base_cubed": lambda x: features(x) ** 3,
    "negative_base_real_whole": lambda x: features(x) ** 3.0,
    "negative_power": lambda x: (features(x) - 4) ** -2,
    "real_power": lambda x: positive(x) ** 2.5,
    "negative_real_power": lambda x: positive(x) ** -0.3,
    "power_zero": lambda x: features(x) ** 0 + x[..., :1],
    "power_one": lambda x: features(x) ** 1,
    "power_of_tensor": lambda x: features(x) ** np.array([0.0, 1, 2, 3, 4, 5]),
    "power_of_integers": lambda x: features(x) ** jnp.arange(6),
    "exponent_depends_on_x": lambda x: positive(x) ** flipped(x),
    "exponential_of_number": lambda x: 1.7 ** features(x),
    "float_power": lambda x: jnp.float_power(positive(x), 1.5),
    "remainder": lambda x: jnp.remainder(3 * features(x), 1.3) ** 2,
    "fmod": lambda x: jnp.fmod(3 * features(x), 1.3) ** 2,
    "floor": lambda x: features(x) * jnp.floor(5 * features(x)),
    "rounding": lambda x: features(x) * jnp.round(5 * features(x)) + jnp.ceil(features(x)) * x[:, :1],
    "addcmul": lambda x: features(x) + 0.3 * x[..., :1] * features(x),
    "addcdiv": lambda x: features(x) + 0.3 * x[..., :1] / positive(x),
    "lerp": lambda x: features(x) + 0.3 * (flipped(x) - features(x)),
    "lerp_of_x": lambda x: features(x) + x[..., :1] * (flipped(x) - features(x)),
    "power_of_itself": lambda x: positive(x) ** positive(x),
    "polynomial": lambda x: jnp.polyval(jnp.array([0.3, -1.0, 0.2, 2.0]), features(x)),
    "sum_of_list": lambda x: sum([x[:, 0], x[:, 1] ** 2, lax.neg(x[:, 2])]),
}
