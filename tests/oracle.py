"""The same mathematics in NumPy and float64, written from the formulas, with nothing of the package in it."""

import numpy as np


def forward(x, weights, biases):
    """Activations of each layer, input first, logits last."""
    layers = [x.astype(np.float64)]
    names = [(f"h{i}", f"b{i}") for i in range(1, len(weights))] + [("out", "out")]
    for w, b in names:
        z = layers[-1] @ weights[w].astype(np.float64) + biases[b].astype(np.float64)
        layers.append(z if w == "out" else np.maximum(z, 0.0))
    return layers


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def costs(logits, labels, smoothing=0.0):
    """Cross-entropy of each example against smoothed targets."""
    classes = logits.shape[1]
    targets = np.full(logits.shape, smoothing / classes)
    targets[np.arange(len(labels)), labels] += 1.0 - smoothing
    return -(targets * log_softmax(logits)).sum(axis=1)


def gradients(x, labels, weights, biases, smoothing=0.0):
    """Gradients of the mean cost, by backpropagation."""
    layers = forward(x, weights, biases)
    logits = layers[-1]
    targets = np.full(logits.shape, smoothing / logits.shape[1])
    targets[np.arange(len(labels)), labels] += 1.0 - smoothing
    delta = (np.exp(log_softmax(logits)) - targets) / len(labels)
    names = [(f"h{i}", f"b{i}") for i in range(1, len(weights))] + [("out", "out")]
    d_weights, d_biases = {}, {}
    for (w, b), layer in zip(reversed(names), reversed(layers[:-1]), strict=True):
        d_weights[w], d_biases[b] = layer.T @ delta, delta.sum(axis=0)
        delta = (delta @ weights[w].astype(np.float64).T) * (layer > 0)
    return d_weights, d_biases


def adam(parameters, gradients_of, steps, rate=0.001, beta1=0.9, beta2=0.999, epsilon_hat=1e-8):
    """Kingma and Ba (2015), section 2, last paragraph: the order of computation with epsilon-hat.

    `parameters` is a list of arrays; `gradients_of(parameters, t)` gives theirs at step t = 1, 2, ...
    """
    m, v = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    for t in range(1, steps + 1):
        gs = gradients_of(parameters, t)
        m = [beta1 * a + (1 - beta1) * g for a, g in zip(m, gs, strict=True)]
        v = [beta2 * a + (1 - beta2) * g * g for a, g in zip(v, gs, strict=True)]
        alpha = rate * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        parameters = [p - alpha * a / (np.sqrt(b) + epsilon_hat) for p, a, b in zip(parameters, m, v, strict=True)]
    return parameters
