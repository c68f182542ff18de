"""The batch loop against NumPy in float64, literal values, and itself cut in other places."""

import numpy as np
import oracle
import pytest
import tensorflow as tf
from conftest import CLASSES, SIDE, slow

from mlp_tf import loop
from mlp_tf.config import Config
from mlp_tf.data import Split, epoch_order

CONFIG = Config(hidden=(8, 4), batch_size=10, epochs=2, validation_size=0)
SIZES = (SIDE * SIDE, 8, 4, CLASSES)


@pytest.fixture(scope="module")
def split(arrays):
    return Split(arrays["x_train"], arrays["y_train"])


def prepare(config, split):
    steps = len(split.labels) // config.batch_size
    state = loop.new_state(config, (SIDE * SIDE, *config.hidden, CLASSES), config.epochs * steps)
    return state, loop.build_train_steps(state, config, split), steps


def fit(config, split):
    state, train_steps, steps = prepare(config, split)
    return state, list(loop.fit(state, config, split, loop.Progress(0, 0, steps), train_steps))


def values(state):
    return [v.numpy() for v in [*state.variables(), *state.optimizer.variables(), state.step]]


def assert_bit_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_three_adam_steps_equal_literal_values_of_the_papers_formula():
    # From 0 with gradients 1e-8, -2e-8, 3e-8, rate 0.001, beta 0.9 and 0.999, epsilon-hat 1e-8, computed with
    # 50 decimal digits. Gradients this small tell epsilon-hat from epsilon, which would give -5e-4 first.
    literal = [-3.065343003171551e-5, -6.477888246950694e-6, -4.278680938709388e-5]
    state = loop.new_state(CONFIG, SIZES, 1)
    variable = state.biases["out"]
    for gradient, expected in zip((1e-8, -2e-8, 3e-8), literal, strict=True):
        state.optimizer.apply_gradients([(tf.fill([CLASSES], gradient), variable)])
        np.testing.assert_allclose(variable, np.full(CLASSES, expected), rtol=2e-5)  # 1 - 0.999 in float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_epoch_equals_the_same_steps_in_numpy_in_float64(split, smoothing):
    config = Config(hidden=(8, 4), batch_size=10, epochs=1, validation_size=0, label_smoothing=smoothing)
    state, train_steps, steps = prepare(config, split)
    names = [("weights", k) for k in state.weights] + [("biases", k) for k in state.biases]
    first = [v.numpy().astype(np.float64) for v in state.variables()]
    order = epoch_order(len(split.labels), 10, seed=0, epoch=0)
    x = split.images.reshape(len(split.images), -1) / 255.0
    total = 0.0

    def gradients_of(parameters, t):
        nonlocal total
        weights, biases = (
            {k: p for (g, k), p in zip(names, parameters, strict=True) if g == w} for w in ("weights", "biases")
        )
        rows = order[t - 1]
        total += oracle.costs(oracle.forward(x[rows], weights, biases)[-1], split.labels[rows], smoothing).sum()
        d_weights, d_biases = oracle.gradients(x[rows], split.labels[rows], weights, biases, smoothing)
        return [*d_weights.values(), *d_biases.values()]

    # oracle.gradients goes from the last layer to the first
    def in_order(parameters, t):
        gradients = gradients_of(parameters, t)
        depth = len(state.weights)
        return [*gradients[:depth][::-1], *gradients[depth:][::-1]]

    exact = oracle.adam(first, in_order, steps)
    [*_, last] = loop.fit(state, config, split, loop.Progress(0, 0, steps), train_steps)
    for (group, name), mine, theirs in zip(names, state.variables(), exact, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-6, err_msg=f"{group} {name}")
    assert last.total == pytest.approx(total, rel=1e-6)


def test_the_cost_of_an_epoch_is_the_mean_over_its_examples(split):
    config = Config(hidden=(8, 4), batch_size=10, epochs=1, validation_size=0, optimizer="sgd", learning_rate=1e-30)
    state, chunks = fit(config, split)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    logits = oracle.forward(split.images.reshape(-1, SIDE * SIDE) / 255.0, weights, biases)[-1]
    assert chunks[-1].total / (chunks[-1].steps * 10) == pytest.approx(
        oracle.costs(logits, split.labels).mean(), rel=1e-6
    )


def test_evaluating_7_rows_in_batches_of_4_equals_numpy_over_7(split):
    state = loop.new_state(CONFIG, SIZES, 1)
    seven = Split(split.images[:7], split.labels[:7])
    cost, accuracy = loop.evaluate(state.weights, state.biases, CONFIG, seven, batch_size=4)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    logits = oracle.forward(seven.images.reshape(7, -1) / 255.0, weights, biases)[-1]
    assert cost == pytest.approx(oracle.costs(logits, seven.labels).mean(), rel=1e-6)
    assert accuracy == (logits.argmax(axis=1) == seven.labels).sum() / 7


@pytest.mark.parametrize("optimizer", ["adam", slow("rmsprop"), slow("sgd")])
@pytest.mark.parametrize("size", [1, 37])
def test_chunks_of_any_size_give_bit_identical_parameters(split, size, optimizer):
    settings = {"batch_size": 4, "optimizer": optimizer, "schedule": "linear", "epochs": 1}
    config = Config(hidden=(8, 4), validation_size=0, **settings)
    order = epoch_order(len(split.labels), 4, 0, 0)  # 60 steps

    def trained(cuts):
        state, train_steps, _ = prepare(config, split)
        total = 0.0
        for start, stop in cuts:
            total = train_steps(split.images, split.labels, order, start, stop, total)
        return [*values(state), total.numpy()]

    whole = trained([(0, 60)])
    assert_bit_equal(whole, trained([(i, min(i + size, 60)) for i in range(0, 60, size)]))


def test_one_seed_is_bit_identical_and_two_seeds_are_not(split):
    runs = [
        values(fit(Config(hidden=(8, 4), batch_size=10, epochs=2, validation_size=0, seed=s), split)[0])
        for s in (5, 5, 6)
    ]
    assert_bit_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_the_loop_is_not_traced_again_while_it_runs(split):
    state, train_steps, steps = prepare(CONFIG, split)
    traces = train_steps.experimental_get_tracing_count()
    for _ in loop.fit(state, CONFIG, split, loop.Progress(0, 0, steps), train_steps):
        pass
    train_steps(split.images, split.labels, epoch_order(240, 10, 0, 9), 3, 5, 1.5)
    assert train_steps.experimental_get_tracing_count() == traces


def test_fit_yields_at_the_end_of_each_epoch_and_knows_the_step(split):
    state, chunks = fit(CONFIG, split)
    ends = [p for p in chunks if p.step == p.steps]
    assert [(p.epoch, p.step) for p in ends] == [(0, 24), (1, 24)]
    assert int(state.step.numpy()) == 48
    assert all(p.seconds > 0 for p in ends)


def test_a_thousand_short_epochs_are_no_different_from_two(split):
    config = Config(hidden=(8, 4), batch_size=120, epochs=1000, validation_size=0)
    state, chunks = fit(config, split)
    assert chunks[-1].epoch == 999
    assert int(state.step.numpy()) == 2000


def test_two_relu_layers_run_the_explicit_function_and_others_the_general_one():
    from mlp_tf.model import two_layer_perceptron

    assert loop.model_function(Config(hidden=(3, 4))) is two_layer_perceptron
    assert loop.model_function(Config(hidden=(3, 4), activation="tanh")) is not two_layer_perceptron
    assert loop.model_function(Config(hidden=(3, 4, 5))) is not two_layer_perceptron


def test_the_linear_schedule_falls_from_the_rate_to_nothing_in_equal_steps(split):
    # One weight's SGD step is rate * gradient, so with a constant gradient the steps show the rates.
    config = Config(
        hidden=(8, 4), batch_size=10, epochs=1, validation_size=0, optimizer="sgd", schedule="linear", learning_rate=0.5
    )
    state = loop.new_state(config, SIZES, 4)
    variable, seen = state.biases["out"], []
    for _ in range(4):
        before = variable.numpy()[0]
        state.optimizer.apply_gradients([(tf.ones([CLASSES]), variable)], global_step=state.step)
        seen.append(before - variable.numpy()[0])
    np.testing.assert_allclose(seen, [0.5, 0.375, 0.25, 0.125], rtol=1e-6)
    assert [loop.learning_rate(config, i, 4) for i in range(4)] == [0.5, 0.375, 0.25, 0.125]


def test_divergence_is_named_by_epoch_step_and_rate_at_the_step_where_it_happened(split):
    config = Config(hidden=(8, 4), batch_size=10, epochs=3, validation_size=0, optimizer="sgd", learning_rate=1e30)
    state, train_steps, steps = prepare(config, split)
    with pytest.raises(
        loop.Diverged, match=r"cost is not finite in epoch 1, at step [2-4] of 24, with learning rate 1e\+30"
    ):
        list(loop.fit(state, config, split, loop.Progress(0, 0, steps), train_steps))
    assert int(state.step.numpy()) <= 4


def test_a_parameter_that_is_not_finite_is_divergence_though_the_cost_is(split):
    state, _, steps = prepare(CONFIG, split)
    slot = next(v for v in state.optimizer.variables() if v.shape == state.biases["b2"].shape)
    slot.assign(tf.fill(slot.shape, np.inf))
    with pytest.raises(loop.Diverged, match="a parameter is not finite"):
        list(
            loop.fit(state, CONFIG, split, loop.Progress(0, 0, steps), lambda *arguments: tf.constant(1.0, tf.float64))
        )
