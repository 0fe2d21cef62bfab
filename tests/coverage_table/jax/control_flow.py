"""Loops, branches, functions of functions, derivatives of one's own."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from coverage_table.jax.inputs import features
from coverage_table.parameters import DISTINCT, MIXED


def loop(x):
    """`fori_loop` with a fixed number of steps, which JAX turns into a scan."""
    return lax.fori_loop(0, 3, lambda k, total: jnp.sin(total + x[:, k]), jnp.zeros_like(x[:, 0]))


def fori_to_bound(x):
    """`fori_loop` with a number of steps known at run time only, which JAX turns into a while loop."""
    steps = jnp.asarray(4) + 0 * x.astype(int).sum()
    return lax.fori_loop(0, steps, lambda k, h: jnp.tanh(h @ MIXED + k / 5), features(x))


def recurrence(x):
    """A recurrent network over the features, all states kept."""

    def step(state, feature):
        state = jnp.tanh(state @ MIXED[:3, :3] + feature[:, None])
        return state, state

    return jnp.moveaxis(lax.scan(step, x, features(x).T)[1], 0, 1)


def scan_constant_carry(x):
    """The carry starts constant and depends on x after the first step; a counter never does."""

    def step(carry, weight):
        state, count = carry
        return (jnp.sin(state * weight + x), count + 1), state.sum(-1) * count

    (state, _), sums = lax.scan(step, (jnp.ones((len(x), 3)), 0), MIXED[0])
    return jnp.concatenate([state, sums.T], -1)


def scan_reversed(x):
    return lax.scan(lambda c, u: (c * u + 1, c), jnp.ones(len(x)), features(x).T, reverse=True)[1].T


def scan_in_scan(x):
    def inner(state, weights):
        return lax.scan(lambda h, w: (jnp.tanh(h * w + x[:, 0]), None), state, weights)

    return lax.scan(inner, x[:, 1], MIXED[:3])[0]


@jax.vmap
def newton(x):
    """The square root by Newton's iteration until it has converged."""

    def unfinished(state):
        root, step = state
        return (jnp.abs(lax.stop_gradient(root**2 - 1 - x**2)).max() > 1e-13) & (step < 30) | (step < 7)

    def improved(state):
        root, step = state
        return 0.5 * (root + (1 + x**2) / root), step + 1

    return lax.while_loop(unfinished, improved, (jnp.ones_like(x), 0))[0]


@jax.vmap
def branches(x):
    """`cond` with a predicate that depends on x, per row."""
    return lax.cond(x[0] > 0, jnp.sin, lambda u: lax.cond(x[1] > 0, lambda v: v**3, lambda v: v, u), features(x))


def cond_of_constant(x):
    return lax.cond(jnp.asarray(MIXED[0, 0] > 9), lambda h: h, lambda h: jnp.exp(h) * x[:, :1], features(x))


def switch(x):
    return lax.switch(jnp.asarray(2), [jnp.sin, jnp.cos, jnp.tanh], features(x))


@jax.custom_jvp
def smooth(u):
    return jnp.log(jnp.cosh(u))


@smooth.defjvp
def smooth_jvp(primals, tangents):
    return smooth(*primals), jnp.tanh(primals[0]) * tangents[0]


@jax.custom_vjp
def halved(u):
    return 0.5 * jnp.sin(u)


halved.defvjp(lambda u: (0.5 * jnp.sin(u), u), lambda u, g: (0.5 * jnp.cos(u) * g,))


@partial(jax.jit, static_argnames="power")
def jitted(u, power):
    return jnp.tanh(u) ** power


def in_place(x):
    h = jnp.zeros((len(x), 6)).at[:, :3].set(jnp.sin(x))
    h = h.at[:, 3:].set(h[:, :3] * x)
    return h.at[:, 1].multiply(h[:, 4]) + 1


def implicit(x):
    """A fixed point with derivatives by the implicit function theorem."""

    def residual(y):
        return y + 0.3 * jnp.sin(y) - x

    def solve(f, start):
        return lax.fori_loop(0, 60, lambda _, y: y - f(y) / (1 + 0.3 * jnp.cos(y)), start)

    return lax.custom_root(residual, jnp.zeros_like(x), solve, lambda g, y: y / g(jnp.ones_like(y)))


def linear_solver(x):
    """A linear system solved by a function of one's own, as iterative solvers are."""

    def matvec(v):
        return (2 + jnp.sin(x)) * v

    return lax.custom_linear_solve(matvec, features(x)[:, :3], lambda mv, b: b / mv(jnp.ones_like(b)), symmetric=True)


FUNCTIONS = {
    "loop": loop,
    "fori_to_bound": fori_to_bound,
    "recurrence": recurrence,
    "scan_constant_carry": scan_constant_carry,
    "scan_reversed": scan_reversed,
    "scan_in_scan": scan_in_scan,
    "map": lambda x: lax.map(lambda column: jnp.sin(column) * x[:, 0], features(x).T).T,
    "associative_scan": lambda x: lax.associative_scan(jnp.multiply, features(x), axis=1),
    "newton": newton,
    "branches": branches,
    "cond_of_constant": cond_of_constant,
    "switch": switch,
    "in_place": in_place,
    "in_place_indexed": lambda x: features(x).at[:, DISTINCT].set(jnp.exp(x)).at[:, 4].set(x[:, 0]) ** 2,
    "detach": lambda x: lax.stop_gradient(features(x)) * features(x),
    "vmap": lambda x: jax.vmap(lambda row: jnp.outer(row, jnp.sin(row)))(features(x)),
    "checkpoint": lambda x: jax.checkpoint(lambda h: jnp.exp(jnp.tanh(h @ MIXED)))(features(x)),
    "custom_jvp": lambda x: smooth(features(x)),
    "custom_vjp": lambda x: halved(features(x)),
    "jit_with_static_argument": lambda x: jitted(features(x), power=3),
    "jit_of_vmap_of_jit": jax.jit(jax.vmap(jax.jit(lambda row: jnp.sort(jnp.sin(row)) * row[0]))),
    "gradient": lambda x: jax.vmap(jax.grad(lambda row: (features(row) ** 3).sum()))(x),
    "jacobian": lambda x: jax.vmap(jax.jacfwd(lambda row: features(row)))(x),
    "hessian": lambda x: jax.vmap(jax.hessian(lambda row: features(row).prod()))(x),
    "implicit": implicit,
    "linear_solver": linear_solver,
}
