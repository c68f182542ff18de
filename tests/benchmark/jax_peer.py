"""An epoch of training in JAX: one compiled `lax.scan` over the steps, with Adam written out."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from common import EXAMPLES, arrays


def make_epoch(hidden, batch, activation):
    """A function that trains one epoch."""
    images, labels = map(jnp.asarray, arrays())
    rng = np.random.default_rng(0)
    params = [
        (jnp.asarray(rng.standard_normal(shape, np.float32) * shape[0] ** -0.5), jnp.zeros(shape[1]))
        for shape in itertools.pairwise((784, *hidden, 10))
    ]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, zeros, jnp.float32(0))

    def epoch():
        nonlocal state
        order = rng.permutation(EXAMPLES)[: EXAMPLES // batch * batch].reshape(-1, batch).astype(np.int32)
        state, costs = train_steps(getattr(jax.nn, activation), images, labels, state, order)
        costs.block_until_ready()

    return epoch


@functools.partial(jax.jit, static_argnums=0)
def train_steps(activation, images, labels, state, order):
    """Takes a step for each row of `order`, the numbers of its images: the state, and the cost of each step."""
    return jax.lax.scan(functools.partial(train_step, activation, images, labels), state, order)


def train_step(activation, images, labels, state, rows):
    """A step of Adam at rate 0.001; the state is (params, m, v, steps taken)."""
    params, m, v, t = state
    x = images[rows].reshape(len(rows), 784).astype(jnp.float32) / 255
    cost, g = jax.value_and_grad(compute_loss)(params, activation, x, labels[rows])
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, m, v)
    return (params, m, v, t), cost


def compute_loss(params, activation, x, y):
    """Mean cross-entropy of a batch."""
    for w, b in params[:-1]:
        x = activation(x @ w + b)
    w, b = params[-1]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], 1))
