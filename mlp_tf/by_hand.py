"""One training step in NumPy: what TensorFlow does inside `tf.GradientTape` and its Adam optimizer.

    python -m mlp_tf.by_hand

takes the same steps by hand and with `loop.train_step`, from the same weights and on the same batches of mnist_sample,
and prints the costs of both. By hand the numbers are float64; TensorFlow's are float32, with about 7 digits, and their
rounding is the difference. Rarely, rounding turns on a ReLU whose input is almost 0; then the two drift apart.

To learn how it works, read mlp_tf/by_hand.py from top to bottom: forward pass, loss, backward pass, Adam, and the loop
that calls them. The names are those of model.py: layer `h1` has `weights["h1"]` and `biases["b1"]`; the last layer is
`out` in both. In shapes, B is the batch size, D the values of an example, Hi the units of hidden layer i.
"""

import itertools
import math

import numpy as np
from absl import flags as absl_flags

from mlp_tf.cli import command, quiet

Arrays = dict[str, np.ndarray]  # by name, as the dictionaries of model.py

BETA1 = 0.9
BETA2 = 0.999
EPSILON = 1e-8


def perceptron(x: np.ndarray, weights: Arrays, biases: Arrays) -> tuple[np.ndarray, list[np.ndarray]]:
    """Computes the logits of a perceptron with any number of hidden ReLU layers: the forward pass.

    Args:
      x: floats `[B, D]`.
      weights: `h1`, `h2`, ... `[fan_in, fan_out]` each, and `out`.
      biases: `b1`, `b2`, ... `[fan_out]` each, and `out`.

    Returns:
      (logits `[B, classes]`, layers): what the backward pass needs. `layers[0]` is x, and `layers[i]`, `[B, Hi]`, the
      output of hidden layer i.
    """
    layers = [x]
    for i in range(1, len(weights)):
        z = layers[i - 1] @ weights[f"h{i}"] + biases[f"b{i}"]  # [B, Hi]
        layers.append(np.maximum(z, 0.0))  # [B, Hi]
    logits = layers[-1] @ weights["out"] + biases["out"]  # [B, classes]
    return logits, layers


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Computes the logarithm of each class's probability, `[B, classes]`: z - log(sum of exp(z) over the classes).

    Subtracting the largest logit from all of an example changes no probability, and keeps exp from overflowing.
    """
    z = logits - logits.max(axis=1, keepdims=True)  # [B, classes]
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))  # [B, classes]


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Computes the loss of each example, `[B]`, in nats: minus the logarithm of the probability of its true class.

    Args:
      logits: `[B, classes]`.
      labels: integers `[B]`, from 0 to classes - 1.
    """
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def compute_gradients(
    logits: np.ndarray, labels: np.ndarray, layers: list[np.ndarray], weights: Arrays
) -> tuple[Arrays, Arrays]:
    """Computes the gradients of the mean loss of a batch: the backward pass (Rumelhart, Hinton and Williams 1986).

    It applies the chain rule from the loss back to the first layer. d_a is the derivative of the mean loss with respect
    to each value of a, so it has the shape of a:

        mean(cross_entropy(logits, labels))    d_logits = (softmax(logits) - one_hot(labels)) / B
        z = layer @ w + b                      d_w = layer.T @ d_z
                                               d_b = sum of d_z over the batch
                                               d_layer = d_z @ w.T
        layer = max(z, 0)                      d_z = d_layer where layer > 0, else 0

    Args:
      logits, layers: of a batch, from `perceptron`.
      labels: integers `[B]`, from 0 to classes - 1.
      weights: as `perceptron` took them.

    Returns:
      (d_weights, d_biases), with the names and shapes of weights and biases.
    """
    d_weights = {}
    d_biases = {}
    d_logits = np.exp(log_softmax(logits))  # [B, classes]
    d_logits[np.arange(len(labels)), labels] -= 1.0
    d_logits /= len(labels)
    d_weights["out"] = layers[-1].T @ d_logits  # [fan_in, classes] from [fan_in, B] @ [B, classes]
    d_biases["out"] = d_logits.sum(axis=0)  # [classes]
    d_layer = d_logits @ weights["out"].T  # [B, fan_in] from [B, classes] @ [classes, fan_in]
    for i in range(len(layers) - 1, 0, -1):  # the last hidden layer first
        d_z = d_layer * (layers[i] > 0)  # [B, Hi]
        d_weights[f"h{i}"] = layers[i - 1].T @ d_z  # [fan_in, Hi] from [fan_in, B] @ [B, Hi]
        d_biases[f"b{i}"] = d_z.sum(axis=0)  # [Hi]
        d_layer = d_z @ weights[f"h{i}"].T  # [B, fan_in] from [B, Hi] @ [Hi, fan_in]
    return d_weights, d_biases


def adam_step(
    parameters: Arrays, gradients: Arrays, moments: dict[str, tuple], step: int, learning_rate: float = 0.001
) -> None:
    """Changes parameters, in place, by one step of Adam (Kingma and Ba 2015).

        m = beta1 * m + (1 - beta1) * gradient        running mean of the gradient
        v = beta2 * v + (1 - beta2) * gradient**2     and of its square; both start at 0
        parameter -= rate * m / (sqrt(v) + epsilon)   rate = learning_rate * sqrt(1 - beta2**step) / (1 - beta1**step)

    This is the form at the end of the paper's section 2, with its "epsilon hat", as TensorFlow computes it (see
    `tf.raw_ops.ApplyAdam`); Algorithm 1 adds epsilon to the root of v / (1 - beta2**step) instead.

    Args:
      parameters: the weights, or the biases.
      gradients: theirs, by the same names.
      moments: {name: (m, v)}, changed too; empty before the first step.
      step: number of this step, from 1.
      learning_rate: above 0.
    """
    rate = learning_rate * math.sqrt(1 - BETA2**step) / (1 - BETA1**step)
    for name, gradient in gradients.items():
        m, v = moments.get(name, (0.0, 0.0))
        m = BETA1 * m + (1 - BETA1) * gradient
        v = BETA2 * v + (1 - BETA2) * gradient**2
        parameters[name] = parameters[name] - rate * m / (np.sqrt(v) + EPSILON)
        moments[name] = (m, v)


def define_flags(values):
    """Defines the flags of this command."""
    absl_flags.DEFINE_integer("steps", 100, "Steps to take.", lower_bound=1, flag_values=values)


def main(values):
    """Takes the same steps by hand and with `loop.train_step`, and prints their costs; returns the exit code."""
    quiet.import_tensorflow()
    from mlp_tf import data, loop
    from mlp_tf.config import Config

    steps = values["steps"].value
    config = Config(hidden=(16, 16))
    batches = data.batches(data.load("mnist_sample").train, config, size=50)
    state = loop.new_state(config, (784, 16, 16, 10), steps)
    initial = [variable.numpy() for variable in state.variables()]
    weights = {name: variable.numpy().astype(np.float64) for name, variable in state.weights.items()}
    biases = {name: variable.numpy().astype(np.float64) for name, variable in state.biases.items()}
    weight_moments = {}
    bias_moments = {}
    print("Network: 784-16-16-10. Cost of each batch of 50 images from mnist_sample, before its step:\n")
    print("step    by hand  train_step")
    for step, (images, labels) in zip(range(1, steps + 1), itertools.cycle(batches), strict=False):
        x = images.numpy().reshape(-1, 784) / 255.0
        logits, layers = perceptron(x, weights, biases)
        cost = cross_entropy(logits, labels.numpy()).mean()
        d_weights, d_biases = compute_gradients(logits, labels.numpy(), layers, weights)
        adam_step(weights, d_weights, weight_moments, step, config.learning_rate)
        adam_step(biases, d_biases, bias_moments, step, config.learning_rate)

        loss_sum, _ = loop.train_step(state, config, images, labels)
        if step == 1 or step % 10 == 0 or step == steps:
            print(f"{step:>4} {cost:>10.6f} {loss_sum / len(labels):>11.6f}", flush=True)
    by_hand = [*weights.values(), *biases.values()]
    train_step = [variable.numpy() for variable in state.variables()]
    print(f"\nLargest difference of a parameter: {_largest_difference(by_hand, train_step):.1e}")
    print(f"Largest change of a parameter by these steps: {_largest_difference(by_hand, initial):.1e}")
    return 0


def _largest_difference(arrays, others):
    return max(np.abs(one - other).max() for one, other in zip(arrays, others, strict=True))


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
