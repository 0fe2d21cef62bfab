"""Specifications are validated, and their weights are a function of the specification alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from jetbench.networks import ACTIVATIONS, KINDS, NetworkSpec, weights

ORACLE = json.loads((Path(__file__).parent / "oracle" / "values.json").read_text())


def shapes(spec):
    return {name: array.shape for name, array in weights(spec).items()}


def test_the_default_is_the_network_of_the_paper():
    spec = NetworkSpec(dim=50)
    assert (spec.kind, spec.widths, spec.outputs, spec.activation) == ("mlp", (768, 768, 512, 512), 1, "tanh")
    assert spec.layers == ((50, 768), (768, 768), (768, 512), (512, 512), (512, 1))


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp"])
def test_layers_have_a_weight_and_a_bias(kind):
    assert shapes(NetworkSpec(kind, dim=3, widths=(5, 4), outputs=2)) == {
        "layers.0.weight": (5, 3),
        "layers.0.bias": (5,),
        "layers.1.weight": (4, 5),
        "layers.1.bias": (4,),
        "layers.2.weight": (2, 4),
        "layers.2.bias": (2,),
    }


def test_attention_has_three_matrices_before_its_layers():
    spec = NetworkSpec("attention", dim=12, widths=(6, 4), outputs=2, tokens=4)
    assert spec.embedding == 3
    assert shapes(spec) == {
        "query.weight": (6, 3),
        "key.weight": (6, 3),
        "value.weight": (6, 3),
        "layers.0.weight": (4, 6),
        "layers.0.bias": (4,),
        "layers.1.weight": (2, 4),
        "layers.1.bias": (2,),
    }


@pytest.mark.parametrize(("dim", "tokens"), [(1, 1), (2, 2), (3, 3), (4, 2), (6, 2), (7, 7), (50, 5), (36, 6)])
def test_attention_divides_the_coordinates_into_tokens(dim, tokens):
    spec = NetworkSpec("attention", dim=dim, widths=(4,))
    assert spec.tokens == tokens
    assert spec.tokens * spec.embedding == dim


def test_a_network_without_hidden_layers_is_linear():
    assert shapes(NetworkSpec(dim=3, widths=())) == {"layers.0.weight": (1, 3), "layers.0.bias": (1,)}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_uniform_within_the_inverse_root_of_the_fan_in(kind):
    spec = NetworkSpec(kind, dim=100, widths=(80, 60), seed=3)
    for name, array in weights(spec).items():
        fan_in = weights(spec)[name.replace("bias", "weight")].shape[1]
        scaled = array * np.sqrt(fan_in)
        assert array.dtype == np.float64
        assert np.abs(scaled).max() < 1
        if array.size >= 4000:
            assert abs(scaled.mean()) < 4 / np.sqrt(3 * array.size)
            assert abs(scaled.var() - 1 / 3) < 4 * np.sqrt(4 / 45 / array.size)


def test_weights_depend_on_the_seed_and_on_nothing_else():
    first, again = weights(NetworkSpec(dim=3, widths=(4,))), weights(NetworkSpec(dim=3, widths=(4,)))
    other = weights(NetworkSpec(dim=3, widths=(4,), seed=1))
    relu = weights(NetworkSpec(dim=3, widths=(4,), activation="relu"))
    for name in first:
        assert np.array_equal(first[name], again[name])
        assert np.array_equal(first[name], relu[name])
        assert not np.array_equal(first[name], other[name])


def test_the_stream_of_weights_is_pinned():
    """Philox is the same on every machine and version of numpy; other weights would make results incomparable."""
    stream = np.random.Generator(np.random.Philox(0)).uniform(-1, 1, 4)
    found = weights(NetworkSpec(dim=1, widths=(2,)))
    assert np.array_equal(np.concatenate([found["layers.0.weight"].ravel(), found["layers.0.bias"]]), stream)
    assert stream[:2] == pytest.approx([-0.9718659286687046, -0.48446550875076455], rel=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "cnn"}, "mlp, residual_mlp, layernorm_mlp, attention"),
        ({"activation": "mish"}, "tanh, sigmoid, sin"),
        ({"dim": 0}, "dim must be"),
        ({"dim": 2.0}, "dim must be"),
        ({"outputs": True}, "outputs must be"),
        ({"widths": (3, 0)}, "widths must be"),
        ({"widths": "33"}, "widths must be"),
        ({"widths": 3}, "widths must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "below"),
        ({"tokens": 2}, "Only attention"),
        ({"kind": "attention", "dim": 6, "tokens": 4}, "must divide"),
        ({"kind": "attention", "widths": ()}, "at least one width"),
    ],
)
def test_wrong_specifications_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NetworkSpec(**arguments)


def test_widths_from_a_config_become_a_tuple():
    spec = NetworkSpec(widths=[3, np.int64(4)])
    assert spec == NetworkSpec(widths=(3, 4))
    assert hash(spec) == hash(NetworkSpec(widths=(3, 4)))


def test_every_network_of_the_reference_values_has_a_kind_and_an_activation():
    networks = [f for f in ORACLE["functions"].values() if f["kind"] != "log_abs_det"]
    assert {f["kind"] for f in networks} == set(KINDS)
    assert {f["activation"] for f in networks if "activation" in f} <= set(ACTIVATIONS)
