"""Points and networks of several types, and what JAX itself cannot differentiate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.jax import METHODS, linear_operator

METHODS = [name for name, method in METHODS.items() if method.package is None]
LAPLACIAN = operators.laplacian(dim=2)
X = jnp.array([[0.3, -0.4], [0.1, 0.8]])
MATRIX = np.array([[0.5, -0.2, 0.7], [0.3, 0.4, -0.6]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("of_x", "of_network"),
    [("float16", "float64"), ("bfloat16", "float32"), ("float32", "float64"), ("float64", "float32")],
)
def test_values_are_of_the_type_that_the_network_returns(of_x, of_network, method):
    matrix = jnp.asarray(MATRIX, of_network)
    found = linear_operator(lambda x: jnp.sin(x.astype(of_network) @ matrix), LAPLACIAN, method)(X.astype(of_x))
    assert found.dtype == of_network
    expected = -np.sin(np.asarray(X) @ MATRIX) * (MATRIX**2).sum(0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * float(jnp.finfo(of_x).eps) + 1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrapped", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_a_while_loop_is_followed_or_refused_with_a_sentence(wrapped, method):
    def net(x):
        return lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] ** 2), (0, x))[1]

    function = wrapped(linear_operator(net, LAPLACIAN, method))
    if method.startswith("nested"):
        with pytest.raises(Unsupported, match=r"Reverse-mode.*while_loop.*Use a method that propagates jets"):
            function(X)
    else:
        np.testing.assert_allclose(function(X), 12 * X**2, rtol=1e-12)
