"""The batch loop against NumPy in float64, literal values, and itself cut in other places."""

import dataclasses
import math

import numpy as np
import oracle
import pytest
import tensorflow as tf
from helpers import CLASSES, SIDE, slow

from mlp_tf import UserError, loop
from mlp_tf.config import Config
from mlp_tf.data import Feed, Split, batches
from mlp_tf.data.feed import epoch_order
from mlp_tf.model import init_params, two_layer_perceptron

CONFIG = Config(hidden=(8, 4), batch_size=10, epochs=2, validation_size=0)
SIZES = (SIDE * SIDE, 8, 4, CLASSES)


@pytest.fixture(scope="module")
def split(arrays):
    return Split(arrays["x_train"], arrays["y_train"])


def prepare(config, split):
    feed = Feed(split, config)
    state = loop.new_state(config, (SIDE * SIDE, *config.hidden, CLASSES), config.epochs * feed.steps)
    return state, loop.compile_steps(state, config, feed), feed


def chunks_of(config, state, train_steps, feed):
    return loop.fit(train_steps, state, config, feed, loop.Progress(0, 0, feed.steps))


def fit(config, split):
    state, train_steps, feed = prepare(config, split)
    return state, list(chunks_of(config, state, train_steps, feed))


@pytest.fixture(scope="module")
def fitted_state(split):
    """(state, chunks) of `fit` with CONFIG; not to be changed."""
    return fit(CONFIG, split)


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
    state, train_steps, feed = prepare(config, split)
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

    exact = oracle.adam(first, in_order, feed.steps)
    last = list(chunks_of(config, state, train_steps, feed))[-1]
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
    assert chunks[-1].correct == (logits.argmax(axis=1) == split.labels).sum()


def test_evaluating_7_rows_in_batches_of_4_equals_numpy_over_7(split):
    state = loop.new_state(CONFIG, SIZES, 1)
    seven = Split(split.images[:7], split.labels[:7])
    predict = loop.predictor(CONFIG, state.weights, state.biases)
    cost_sum, correct, count = loop.evaluate(predict, batches(seven, CONFIG, size=4))
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    logits = oracle.forward(seven.images.reshape(7, -1) / 255.0, weights, biases)[-1]
    assert count == 7
    assert cost_sum / 7 == pytest.approx(oracle.costs(logits, seven.labels).mean(), rel=1e-6)
    assert correct == (logits.argmax(axis=1) == seven.labels).sum()


@pytest.mark.parametrize("optimizer", ["adam", slow("rmsprop"), slow("sgd")])
def test_chunks_of_any_size_give_bit_identical_parameters(split, optimizer):
    settings = {"batch_size": 4, "optimizer": optimizer, "schedule": "linear", "epochs": 1}
    config = Config(hidden=(8, 4), validation_size=0, **settings)
    order = epoch_order(len(split.labels), 4, 0, 0)  # 60 steps

    state, train_steps, _ = prepare(config, split)
    variables = [*state.variables(), *state.optimizer.variables(), state.step]
    first = values(state)

    def trained(size):
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        sums = [0.0, 0.0]
        for start in range(0, 60, size):
            sums = train_steps((split.images, split.labels, order), start, min(start + size, 60), sums)
        return [*values(state), sums.numpy()]

    whole = trained(60)
    for size in (1, 37):
        assert_bit_equal(whole, trained(size))


def test_one_seed_is_bit_identical_and_two_seeds_are_not(split):
    runs = [
        values(fit(dataclasses.replace(CONFIG, seed=seed, optimizer="sgd", learning_rate=0.1), split)[0])
        for seed in (5, 5, 6)
    ]
    assert_bit_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_the_loop_is_not_traced_again_while_it_runs(split):
    state, train_steps, feed = prepare(CONFIG, split)
    traces = train_steps.experimental_get_tracing_count()
    for _ in chunks_of(CONFIG, state, train_steps, feed):
        pass
    train_steps((split.images, split.labels, epoch_order(240, 10, 0, 9)), 3, 5, [1.5, 2.0])
    assert train_steps.experimental_get_tracing_count() == traces


def test_fit_yields_at_the_end_of_each_epoch_and_knows_the_step(fitted_state):
    state, chunks = fitted_state
    ends = [p for p in chunks if p.step == p.steps]
    assert [(p.epoch, p.step) for p in ends] == [(0, 24), (1, 24)]
    assert int(state.step.numpy()) == 48
    assert all(p.seconds > 0 for p in ends)


def test_a_thousand_short_epochs_are_no_different_from_two(split):
    config = Config(hidden=(8, 4), batch_size=120, epochs=1000, validation_size=0)
    state, chunks = fit(config, split)
    assert chunks[-1].epoch == 999
    assert int(state.step.numpy()) == 2000


def test_two_relu_layers_run_the_explicit_function_others_the_general():
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


@pytest.mark.parametrize("step", [0, 1, 24, 47, 48, 60])
def test_the_cosine_schedule_is_half_a_wave_in_float64_and_in_the_step(step):
    config = Config(hidden=(8, 4), schedule="cosine", learning_rate=0.5, optimizer="sgd")
    exact = 0.25 * (1 + math.cos(math.pi * min(step / 48, 1)))
    assert loop.learning_rate(config, step, 48) == pytest.approx(exact, abs=1e-15)
    state = loop.new_state(config, SIZES, 48)
    state.step.assign(step)
    before = state.biases["out"].numpy()
    state.optimizer.apply_gradients([(tf.ones([CLASSES]), state.biases["out"])])
    np.testing.assert_allclose(before - state.biases["out"], exact, atol=1e-7)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_that_ends_before_the_run_is_refused_by_fit(split, schedule):
    config = dataclasses.replace(CONFIG, schedule=schedule)
    feed = Feed(split, config)
    with pytest.raises(UserError, match=f"total_steps=47: the {schedule} schedule ends before the run, which takes 48"):
        next(loop.fit(None, loop.new_state(config, SIZES, 47), config, feed, loop.Progress(0, 0, 24)))


ACTIVATIONS_IN_NUMPY = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
}


@pytest.mark.parametrize("name", ACTIVATIONS_IN_NUMPY)
def test_an_activation_by_name_equals_its_formula_in_float64(name):
    x = np.linspace(-6, 6, 101)
    expected = ACTIVATIONS_IN_NUMPY[name](x)
    np.testing.assert_allclose(loop.ACTIVATIONS[name](tf.constant(x)), expected, rtol=1e-6, atol=1e-12)


def test_momentum_by_name_takes_the_steps_of_its_formula_in_float64(split):
    settings = {"optimizer": "momentum", "momentum": 0.5, "learning_rate": 0.1, "validation_size": 0}
    config = Config(hidden=(), batch_size=240, epochs=5, **settings)
    state, train_steps, feed = prepare(config, split)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    x = split.images.reshape(240, -1) / 255.0
    velocity = {"weights": 0.0, "biases": 0.0}
    for _ in range(5):
        d_weights, d_biases = oracle.gradients(x, split.labels, weights, biases)
        velocity = {"weights": 0.5 * velocity["weights"] + d_weights["out"],
                    "biases": 0.5 * velocity["biases"] + d_biases["out"]}  # fmt: skip
        weights = {"out": weights["out"] - 0.1 * velocity["weights"]}
        biases = {"out": biases["out"] - 0.1 * velocity["biases"]}
    list(chunks_of(config, state, train_steps, feed))
    np.testing.assert_allclose(state.weights["out"], weights["out"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.biases["out"], biases["out"], rtol=1e-4, atol=1e-6)


def test_without_scaling_the_network_gets_the_pixels_as_they_are(split):
    config = dataclasses.replace(CONFIG, scaling="none", optimizer="sgd", learning_rate=1e-30, epochs=1)
    state, chunks = fit(config, split)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    logits = oracle.forward(split.images.reshape(240, -1).astype(float), weights, biases)[-1]
    assert chunks[-1].total == pytest.approx(oracle.costs(logits, split.labels).sum(), rel=1e-5)
    sums = loop.evaluate(loop.predictor(config, state.weights, state.biases), batches(split, config))
    assert sums.cost_sum == pytest.approx(chunks[-1].total, rel=1e-5)


def test_divergence_names_epoch_step_and_rate_at_its_own_step(split):
    config = Config(hidden=(8, 4), batch_size=10, epochs=3, validation_size=0, optimizer="sgd", learning_rate=1e30)
    state, train_steps, feed = prepare(config, split)
    with pytest.raises(
        loop.Diverged, match=r"cost is not finite in epoch 1, at step [2-4] of 24, with learning rate 1e\+30"
    ):
        list(chunks_of(config, state, train_steps, feed))
    assert int(state.step.numpy()) <= 4


def test_a_parameter_that_is_not_finite_is_divergence_though_the_cost_is(split):
    state, _, feed = prepare(CONFIG, split)
    slot = next(v for v in state.optimizer.variables() if v.shape == state.biases["b2"].shape)
    slot.assign(tf.fill(slot.shape, np.inf))
    with pytest.raises(loop.Diverged, match="a parameter is not finite"):
        list(chunks_of(CONFIG, state, lambda *arguments: tf.constant([1.0, 1.0], tf.float64), feed))


def test_one_step_called_eagerly_equals_the_compiled_one(split):
    config = Config(hidden=(8, 4), batch_size=10, epochs=1, validation_size=0)
    eager, compiled = loop.new_state(config, SIZES, 24), prepare(config, split)
    rows = epoch_order(240, 10, 0, 0)[0]
    cost_sum, correct = loop.train_step(eager, config, split.images[rows], split.labels[rows])
    state, train_steps, feed = compiled
    sums = train_steps(feed.epoch(0), 0, 1, [0.0, 0.0])
    assert [float(cost_sum), int(correct)] == pytest.approx(sums.numpy().tolist(), rel=1e-6)
    assert int(eager.step.numpy()) == int(state.step.numpy()) == 1
    for one, other in zip(eager.variables(), state.variables(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)


def test_the_gradients_of_one_batch_equal_numpy_in_float64(split):
    state = loop.new_state(CONFIG, SIZES, 1)
    images, labels = split.images[:10], split.labels[:10]
    cost_sum, correct, gradients = loop.compute_gradients(state, CONFIG, images, labels)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    x = images.reshape(10, -1) / 255.0
    d_weights, d_biases = oracle.gradients(x, labels, weights, biases)
    exact = [d_weights[name] for name in weights] + [d_biases[name] for name in biases]
    for mine, theirs in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    logits = oracle.forward(x, weights, biases)[-1]
    assert float(cost_sum) == pytest.approx(oracle.costs(logits, labels).sum(), rel=1e-6)
    assert int(correct) == (logits.argmax(axis=1) == labels).sum()


@pytest.mark.parametrize("sizes", [(64, 8, 3), (64, 8, 5, 3), (64, 8, 4, 2, 3)])
def test_sizes_that_are_not_the_settings_network_are_refused(sizes):
    with pytest.raises(UserError, match=r"sizes=.*must have config.hidden=\(8, 4\) between input and output"):
        loop.new_state(CONFIG, sizes, 1)


@pytest.mark.parametrize(("inputs", "outputs"), [(63, 3), (64, 2), (64, 4), (784, 10)])
def test_a_network_that_does_not_fit_the_data_is_refused(split, inputs, outputs):
    state = loop.new_state(CONFIG, (inputs, 8, 4, outputs), 1)
    with pytest.raises(UserError, match=r"64 values per example and 3 classes; give sizes=\(64, ..., 3\)"):
        loop.compile_steps(state, CONFIG, Feed(split, CONFIG))


def test_an_optimizer_of_ones_own_takes_its_own_steps(split):
    def momentum(rate):
        return tf.compat.v1.train.MomentumOptimizer(rate, momentum=0.5)

    config = Config(hidden=(8, 4), batch_size=240, epochs=3, validation_size=0, learning_rate=0.1, optimizer=momentum)
    state, train_steps, feed = prepare(config, split)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    x, velocity = split.images.reshape(240, -1) / 255.0, 0.0
    for _ in range(3):
        _, d_biases = oracle.gradients(x, split.labels, weights, biases)
        velocity = 0.5 * velocity + d_biases["out"]
        # Only the last bias is followed: for the others the parameters of the run are taken.
        expected = biases["out"] - 0.1 * velocity
        train_steps(feed.epoch(0), 0, 1, [0.0, 0.0])
        np.testing.assert_allclose(state.biases["out"], expected, rtol=1e-4, atol=1e-6)
        weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))


def test_an_activation_of_ones_own_is_applied_in_training_and_evaluation(split):
    calls = []

    def square(x):
        calls.append(x)
        return x * x

    config = Config(hidden=(8, 4), batch_size=240, epochs=1, validation_size=0, learning_rate=1e-30, activation=square)
    state, chunks = fit(config, split)
    assert calls
    sums = loop.evaluate(loop.predictor(config, state.weights, state.biases), batches(split, config))
    x = split.images.reshape(240, -1) / 255.0
    for i in (1, 2):
        x = (x @ state.weights[f"h{i}"].numpy() + state.biases[f"b{i}"].numpy()) ** 2
    logits = x @ state.weights["out"].numpy() + state.biases["out"].numpy()
    assert sums.cost_sum == pytest.approx(oracle.costs(logits, split.labels).sum(), rel=1e-5)
    assert chunks[-1].total == pytest.approx(sums.cost_sum, rel=1e-5)


def test_a_step_of_ones_own_takes_the_place_of_train_step(split):
    def nothing(state, config, images, labels):
        state.step.assign_add(1)
        return tf.cast(tf.reduce_sum(labels), tf.float64)

    feed = Feed(split, CONFIG)
    state = loop.new_state(CONFIG, SIZES, 48)
    before = values(state)[:-1]
    last = list(chunks_of(CONFIG, state, loop.compile_steps(state, CONFIG, feed, step=nothing), feed))[-1]
    assert last.total == split.labels.sum()
    assert math.isnan(last.correct)  # the step returns the loss alone
    assert_bit_equal(before, values(state)[:-1])


def test_a_list_of_hidden_units_is_the_network_of_the_tuple(split):
    config = Config(hidden=[8, 4], batch_size=10, epochs=1, validation_size=0)
    state, _ = fit(config, split)
    assert loop.evaluate(loop.predictor(config, state.weights, state.biases), batches(split, config)).count == 240


# Called from a program: each of these works, or raises one error that says what to do.


def test_the_gradient_of_a_smaller_batch_is_that_of_its_own_mean(split):
    """A step on 5 examples is a step on 5 examples, although `config.batch_size` is 10."""
    state = loop.new_state(CONFIG, SIZES, 1)
    weights, biases = ({k: v.numpy() for k, v in group.items()} for group in (state.weights, state.biases))
    d_weights, _ = oracle.gradients(split.images[:5].reshape(5, -1) / 255.0, split.labels[:5], weights, biases)
    of_unknown_size = tf.function(
        lambda images, labels: loop.compute_gradients(state, CONFIG, images, labels),
        input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.uint8), tf.TensorSpec([None], tf.int32)],
    )
    for compute in (lambda *batch: loop.compute_gradients(state, CONFIG, *batch), of_unknown_size):
        *_, gradients = compute(split.images[:5], split.labels[:5])
        for name, gradient in zip(weights, gradients, strict=False):
            np.testing.assert_allclose(gradient, d_weights[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wrong", [-1, CLASSES])
def test_a_label_outside_the_classes_is_refused_and_never_costs_0(split, wrong):
    labels = split.labels.copy()
    labels[7] = wrong
    state = loop.new_state(CONFIG, SIZES, 24)
    message = f"a label is {wrong}; must be from 0 to 2"
    with pytest.raises(UserError, match=message):
        loop.train_step(state, CONFIG, split.images[:10], labels[:10])
    with pytest.raises(UserError, match=message):
        loop.evaluate(loop.predictor(CONFIG, state.weights, state.biases), [(split.images, labels)])
    with pytest.raises(UserError, match=f"a label is {2**32 + wrong}; must be"):  # as int32 it would be one
        loop.train_step(state, CONFIG, split.images[:10], labels[:10].astype(np.int64) + 2**32 * (labels[:10] == wrong))
    with pytest.raises(UserError, match=rf"labels\[7\] is {wrong}; must be from 0 to 2"):
        Feed(Split(split.images, labels, classes=CLASSES), CONFIG)
    in_a_graph = tf.function(lambda labels: loop.train_step(state, CONFIG, split.images[:10], labels))
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be from 0 to 2, but are"):
        in_a_graph(labels[:10])


def test_labels_of_any_integer_type_train_and_evaluate_alike(split, fitted_state):
    one, _ = fitted_state
    predict = loop.predictor(CONFIG, one.weights, one.biases)
    sums = loop.evaluate(predict, batches(split, CONFIG))
    for kind in (np.int64, np.uint8):
        converted = Split(split.images, split.labels.astype(kind))
        assert_bit_equal(values(one), values(fit(CONFIG, converted)[0]))
        assert loop.evaluate(predict, batches(converted, CONFIG)) == sums


def test_arrays_alone_are_a_feed(split, fitted_state):
    assert_bit_equal(values(fit(CONFIG, (split.images, split.labels))[0]), values(fitted_state[0]))


def test_one_hot_labels_are_refused_with_the_conversion(split):
    one_hot = np.eye(CLASSES, dtype=np.float32)[split.labels]
    state = loop.new_state(CONFIG, SIZES, 24)
    message = r"one-hot, give tf.argmax\(labels, axis=1\)"
    with pytest.raises(UserError, match=message):
        loop.train_step(state, CONFIG, split.images, one_hot)
    with pytest.raises(UserError, match=message):
        loop.evaluate(loop.predictor(CONFIG, state.weights, state.biases), [(split.images, one_hot)])
    with pytest.raises(UserError, match=message):
        loop.compile_steps(state, CONFIG, Feed(Split(split.images, one_hot, classes=CLASSES), CONFIG))
    with pytest.raises(UserError, match=r"one-hot, give labels.argmax\(axis=1\)"):
        Feed((split.images, one_hot), CONFIG)


def test_a_linear_schedule_that_ends_before_the_run_is_refused(split):
    config = dataclasses.replace(CONFIG, schedule="linear")
    feed = Feed(split, config)
    state = loop.new_state(config, SIZES, 10)
    chunks = chunks_of(config, state, loop.compile_steps(state, config, feed), feed)
    with pytest.raises(UserError, match=r"total_steps=10: the linear schedule ends before the run, which takes 48"):
        next(chunks)


def test_past_the_end_of_a_linear_schedule_the_rate_is_0(split):
    config = dataclasses.replace(CONFIG, schedule="linear", optimizer="sgd")
    state = loop.new_state(config, SIZES, total_steps=1)
    loop.train_step(state, config, split.images[:10], split.labels[:10])
    before = [variable.numpy() for variable in state.variables()]
    for _ in range(3):
        loop.train_step(state, config, split.images[:10], split.labels[:10])
    assert_bit_equal(before, [variable.numpy() for variable in state.variables()])
    assert loop.learning_rate(config, 5, 1) == 0


def steps_that(result, advance=1):
    def step(state, config, images, labels):
        state.step.assign_add(advance)
        return result

    return step


def test_a_step_may_return_its_loss_in_any_float_type(split):
    for kind in (tf.float16, tf.float32, tf.float64):
        state, feed = loop.new_state(CONFIG, SIZES, 48), Feed(split, CONFIG)
        train_steps = loop.compile_steps(state, CONFIG, feed, step=steps_that(tf.constant(0.5, kind)))
        assert train_steps(feed.epoch(0), 0, 24, [0.0, 0.0]).numpy()[0] == 12


@pytest.mark.parametrize(
    "result", [None, np.zeros(3, np.float32), (1.0, None), (1.0, np.zeros(3)), (1.0, 2.0, 3.0), {"loss": 1.0}]
)
def test_a_step_that_returns_anything_but_scalars_is_refused(split, result):
    with pytest.raises(UserError, match=r"must return \(summed loss, correct predictions\) of its batch"):
        loop.compile_steps(loop.new_state(CONFIG, SIZES, 48), CONFIG, Feed(split, CONFIG), step=steps_that(result))


@pytest.mark.parametrize("advance", [0, 2])
def test_a_step_that_does_not_advance_the_step_by_one_is_refused(split, advance):
    state, feed = loop.new_state(CONFIG, SIZES, 48), Feed(split, CONFIG)
    train_steps = loop.compile_steps(state, CONFIG, feed, step=steps_that(tf.constant(1.0), advance))
    with pytest.raises(UserError, match=rf"state\.step went from 0 to {advance} in 1 steps; a step must advance it"):
        list(chunks_of(CONFIG, state, train_steps, feed))


def test_without_xla_a_step_may_print(split, capfd):
    def step(state, config, images, labels):
        tf.print("a batch of", tf.shape(images)[0])
        return loop.train_step(state, config, images, labels)

    state, feed = loop.new_state(CONFIG, SIZES, 48), Feed(split, CONFIG)
    loop.compile_steps(state, CONFIG, feed, step=step, jit=False)(feed.epoch(0), 0, 2, [0.0, 0.0])
    assert capfd.readouterr().err == "a batch of 10\n" * 2


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda rate: tf.compat.v1.train.MomentumOptimizer(rate * 0.5, 0.9), r"pass lambda: 0\.5 \* rate\(\)"),
        (lambda rate: tf.Module(), r"made a Module; must make a tf\.compat\.v1\.train\.Optimizer"),  # as of Keras
        (lambda: None, r"its argument is a function that returns the learning rate"),
        (lambda rate: None, r"made a NoneType; must make a tf\.compat\.v1\.train\.Optimizer"),
    ],
)
def test_an_optimizer_that_cannot_be_used_is_refused_with_what_can(optimizer, message):
    with pytest.raises(UserError, match=message):
        loop.new_state(dataclasses.replace(CONFIG, optimizer=optimizer), SIZES, 1)


def test_an_optimizer_may_compute_with_the_rate_of_each_step(split):
    config = dataclasses.replace(CONFIG, learning_rate=0.5, optimizer="sgd")
    halved = dataclasses.replace(
        CONFIG,
        learning_rate=1.0,
        optimizer=lambda rate: tf.compat.v1.train.GradientDescentOptimizer(lambda: 0.5 * rate()),
    )
    assert_bit_equal(values(fit(config, split)[0]), values(fit(halved, split)[0]))


def test_a_state_starts_from_parameters_that_were_saved_with_numpy(fitted_state, tmp_path):
    state, _ = fitted_state
    # Both dictionaries have a key `out`, so the names get a prefix.
    arrays = {f"weights/{k}": v for k, v in state.weights.items()} | {f"biases/{k}": v for k, v in state.biases.items()}
    np.savez(tmp_path / "parameters.npz", **arrays)
    saved = np.load(tmp_path / "parameters.npz")
    parameters = [{k: saved[f"{kind}/{k}"] for k in getattr(state, kind)} for kind in ("weights", "biases")]
    again = loop.new_state(CONFIG, SIZES, 48, parameters=parameters)
    assert_bit_equal([v.numpy() for v in state.variables()], [v.numpy() for v in again.variables()])
    del parameters[0]["h2"]
    with pytest.raises(UserError, match=r"parameters: weights have the shapes .*; must be \{'h1': \(64, 8\), 'h2'"):
        loop.new_state(CONFIG, SIZES, 48, parameters=parameters)


@pytest.mark.parametrize("sizes", [(64, 8, 3), (64, 8, 4, 2, 3)])
def test_the_two_layer_function_refuses_another_depth(sizes):
    with pytest.raises(UserError, match=r"must be h1, h2 and out; for another depth, call perceptron"):
        two_layer_perceptron(tf.zeros([1, 64]), *init_params(sizes))
