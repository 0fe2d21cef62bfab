"""Nodes of the pass with random values, and what each op means, by NumPy."""

import numpy as np

from jetbench.collapse.build import Builder
from jetbench.collapse.graph import live


def joined(value, labels):
    """The diagonal in numpy."""
    letters = "".join("abcdefghij"[label] for label in labels)
    return np.einsum(f"{letters}->{''.join(dict.fromkeys(letters))}", value)


def evaluated(node, inputs):
    """The value of a node in numpy; the plain meaning of each op."""
    values = {}
    for n in live([node]):
        x = [values[o] for o in n.operands]
        a = n.attributes
        match n.op:
            case "input":
                values[n] = inputs[a[0]]
            case "fill":
                values[n] = np.asarray(a[0], float)
            case "identity":
                values[n] = np.eye(n.shape[0])
            case "diagonal":
                values[n] = joined(x[0], a[0])
            case "view":
                kept = [i for i in a[0] if i is not None]
                moved = np.transpose(
                    np.squeeze(x[0], tuple(i for i in range(x[0].ndim) if i not in kept)),
                    [sorted(kept).index(i) for i in kept],
                )
                shape = [1 if i is None else x[0].shape[i] for i in a[0]]
                values[n] = np.broadcast_to(moved.reshape(shape), n.shape)
            case "scale":
                values[n] = a[0] * x[0]
            case "combine":
                values[n] = a[0] * x[0] + a[1] * x[1]
            case "product":
                letters = "abcdefghij"
                left, right = ("".join(letters[i] for i in ls) for ls in a[:2])
                values[n] = np.einsum(f"{left},{right}->{letters[: a[2]]}", *x)
            case "reduce":
                values[n] = x[0].sum(a[0])
            case "weigh":
                values[n] = np.tensordot(np.array(a[1]), x[0], (0, a[0]))
            case "map":
                values[n] = {"sin": np.sin, "where": lambda m, u, v: np.where(m > 0, u, v)}[a[0]](*x)
            case "solve":
                values[n] = np.linalg.solve(x[0], x[1].reshape(*x[1].shape[: a[1] + 1], -1)).reshape(n.shape)
            case "split" | "merge" | "reshape":
                values[n] = x[0].reshape(n.shape)
            case "along":
                kind, axis, static, _ = a
                if kind == "slice":
                    values[n] = x[0][(slice(None),) * axis + (slice(*static),)]
                elif kind == "concatenate":
                    values[n] = np.concatenate(x, axis)
                elif kind == "gather":
                    values[n] = np.take(x[0], x[1].astype(int), axis)
                else:
                    values[n] = np.pad(x[0], [static if i == axis else (0, 0) for i in range(x[0].ndim)])
        assert values[n].shape == n.shape, n
    return values[node]


SHAPES = [
    (4, 3, 5),
    (4, 3, 5),
    (3, 5),
    (4, 6),
    (4,),
    (2,),
    (5, 2),
    (4, 3, 4, 3),
    (3,),
    (3, 4),
    (4, 3, 4),
    (4, 2, 3, 4),
    (4, 3, 3, 4),
    (6, 4, 4),
    (4, 5),
    (4, 4),
]


def inputs():
    """A builder, an input of each shape, and its values."""
    b = Builder()
    generator = np.random.default_rng(0)
    nodes = [b.graph.make("input", (), (i,), shape, "float64", i) for i, shape in enumerate(SHAPES)]
    values = [generator.standard_normal(shape) for shape in SHAPES]
    values[5] = np.array([2.0, 0.0])
    return b, nodes, values
