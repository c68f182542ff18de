"""Looks inside a trained network: what each layer does on validation examples, and what one more step would change.

    python -m mlp_tf.layers RUN

RUN is a run's folder; --workdir=RUN names it too. For each layer: mean and standard deviation (std) of its activations;
the fraction that is exactly 0; how many units are on for no example (dead) and for every example, where a unit is on if
its input, before the activation, is above 0; the (Frobenius) norms of its weights and of the gradient of the mean cost;
and how far one step of the optimizer would move the weights, as a fraction of their norm. The gradient and the step are
those of training: with --dropout, of the thinned network; with weight decay and max-norm, if the run uses them. Nothing
is saved. layers.png, in the run's folder or in --out, has histograms of activations and gradients.
"""

from absl import flags as absl_flags

from mlp_tf.base.text import plural
from mlp_tf.cli import command, flags, quiet


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values)
    flags.define_data_dir(values)
    absl_flags.DEFINE_string("out", "", "Folder for layers.png; empty: the run's own.", flag_values=values)
    flags.define_plots(values)


def main(values, words):
    """Prints and draws the layers of the run that the command line names; returns the exit code."""
    [workdir] = flags.run_folders(values, words, most=1)
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
    examples = plural(len(labels), "example")
    print(f"Run: {run.title}")
    print(f"Split: {name}, {examples}")
    _print_table(layers)
    figure = figures.plot_layers(layers, f"{run.title}\nactivations and gradients on {examples} of the {name} split")
    folder = flags.make_folder("out", out or workdir)
    print(f"Plot: {figures.save(figure, folder / 'layers', **flags.plot_options(values))}")
    return 0


def examine(state, config, images, labels):
    """Takes one step on these examples as one batch, and returns what each layer did.

    Args:
      state: `loop.State`, which is advanced by one step.
      images, labels: as `loop.train_step` takes them.

    Returns:
      {layer: {"activations": float32 `[B, units]`, "on": fraction of the examples for which each unit is on,
      `[units]`, "weights", "gradient", "update": each `[inputs, units]`}}; the activations of `out` are the logits.
    """
    from mlp_tf import loop
    from mlp_tf.model import normalize, perceptron

    activation = loop.ACTIVATIONS[config.activation]
    before = {name: weights.numpy() for name, weights in state.weights.items()}
    *_, gradients = loop.compute_gradients(state, config, images, labels)
    layers = {}
    for name, gradient in zip(before, gradients, strict=False):  # the gradients of the biases come after
        # The layers up to this one are a network too; its output is what the activation takes.
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
    """Returns (weights, biases) of the layers up to this one, as a network in which it is the output layer."""
    if name == "out":
        return state.weights, state.biases
    last = int(name[1:])
    weights = {f"h{i}": state.weights[f"h{i}"] for i in range(1, last)}
    biases = {f"b{i}": state.biases[f"b{i}"] for i in range(1, last)}
    return {**weights, "out": state.weights[name]}, {**biases, "out": state.biases[f"b{last}"]}


def _print_table(layers):
    import numpy as np

    print("layer  units     mean       std  zeros   dead  always on  |weights|  |gradient|  update/weights")
    for name, layer in layers.items():
        activations = layer["activations"]
        norm = np.linalg.norm(layer["weights"])
        print(
            f"{name:>5} {activations.shape[1]:>6} {activations.mean():>8.4f} {activations.std():>9.4f} "
            f"{(activations == 0).mean():>6.4f} {(layer['on'] == 0).sum():>6,} {(layer['on'] == 1).sum():>10,} "
            f"{norm:>10.4g} {np.linalg.norm(layer['gradient']):>11.4g} "
            f"{np.linalg.norm(layer['update']) / norm:>15.2e}",
            flush=True,
        )


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))
