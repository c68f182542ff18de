"""Looks inside a trained network: what each layer does on the validation rows, and what one more step would change.

    python -m mlp_tf.layers --workdir=RUN

For each layer: mean and deviation of its activations; the share that is exactly 0; how many units are on for no row
(dead) and for every row, a unit being on where its input, before the activation, is above 0; the norms (Frobenius) of
its weights and of the gradient of the mean cost; and how far one step of the optimizer would move the weights, as a
share of their norm. Gradient and step are those of training: under --dropout of the thinned network, and with decay and
bounded norms, if the run has them. Nothing is saved. layers.png, in the run's folder or in --out, has histograms of
activations and gradients.
"""

from absl import flags as absl_flags

from mlp_tf.cli import command, flags, quiet


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_run(values)
    absl_flags.DEFINE_string("out", "", "Folder for layers.png; empty: the run's own.", flag_values=values)
    flags.define_plots(values)


def main(values):
    """Prints and draws the layers of the run that the flags name; returns the exit code."""
    workdir = flags.required(values, "workdir")
    out = flags.path(values, "out")
    quiet.import_tensorflow()
    from mlp_tf import data, figures
    from mlp_tf.runs.trained import load

    run = load(workdir)
    command.warn(*run.warnings)
    splits = run.splits(flags.path(values, "data_dir"))
    name = "validation" if len(splits.validation.labels) else "training"
    split = splits.validation if name == "validation" else splits.train
    images, labels = next(iter(data.batches(split, run.config)))
    layers = examine(run.state(), run.config, images, labels)
    print(f"Run: {run.title}")
    print(f"Rows: {len(labels):,} of {name}")
    print_table(layers)
    title = f"{run.title}: activations and gradients on {len(labels):,} rows of {name}"
    folder = flags.make_folder("out", out or workdir)
    path = figures.save(figures.layers(layers, title), folder / "layers", **flags.plot_options(values))
    print(f"Picture: {path}")
    return 0


def examine(state, config, images, labels):
    """Takes one step on these examples as one batch, and returns what each layer did.

    Args:
      state: `loop.State`; it is a step further afterwards.
      images, labels: as `loop.train_step` takes them.

    Returns:
      {layer: {"activations": float32 `[B, units]`, "on": fraction of the examples in which each unit is, `[units]`,
      "weights", "gradient", "update": each `[inputs, units]`}}; what the layer `out` activates are the logits.
    """
    from mlp_tf import loop
    from mlp_tf.model import normalize, perceptron

    activation = loop.ACTIVATIONS[config.activation]
    before = {name: weights.numpy() for name, weights in state.weights.items()}
    _, gradients = loop.compute_gradients(state, config, images, labels)
    layers = {}
    for name, gradient in zip(before, gradients, strict=False):  # of the weights; those of the biases follow
        # The layers so far are a network of their own, whose output is what goes into the activation.
        weights, biases = _up_to(name, state)
        inputs = perceptron(normalize(images), weights, biases, activation)  # [B, units]
        outputs = inputs if name == "out" else activation(inputs)
        on = (inputs.numpy() > 0).mean(axis=0)
        layers[name] = {"activations": outputs.numpy(), "on": on, "weights": before[name], "gradient": gradient.numpy()}
    loop.train_step(state, config, images, labels)
    for name, weights in state.weights.items():
        layers[name]["update"] = weights.numpy() - before[name]
    return layers


def _up_to(name, state):
    """(weights, biases) of the layers up to this one, which counts as their output."""
    if name == "out":
        return state.weights, state.biases
    last = int(name[1:])
    weights = {f"h{i}": state.weights[f"h{i}"] for i in range(1, last)}
    biases = {f"b{i}": state.biases[f"b{i}"] for i in range(1, last)}
    return {**weights, "out": state.weights[name]}, {**biases, "out": state.biases[f"b{last}"]}


def print_table(layers):
    """Prints a line for each layer."""
    import numpy as np

    print("layer  units     mean deviation  zeros   dead  always on  |weights|  |gradient|  update/weights")
    for name, layer in layers.items():
        activations, on, norm = layer["activations"], layer["on"], np.linalg.norm(layer["weights"])
        print(
            f"{name:>5} {activations.shape[1]:>6} {activations.mean():>8.4f} {activations.std():>9.4f} "
            f"{(activations == 0).mean():>6.4f} {(on == 0).sum():>6,} {(on == 1).sum():>10,} {norm:>10.4g} "
            f"{np.linalg.norm(layer['gradient']):>11.4g} {np.linalg.norm(layer['update']) / norm:>15.2e}",
            flush=True,
        )


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
