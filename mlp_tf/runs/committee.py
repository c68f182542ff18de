"""Several runs that answer together, by the mean of their probabilities (Meier et al. 2011); one is its own answer."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.runs import result


def load(workdirs):
    """The `result.Result` of each of the folders, in their order; one that is named twice counts once.

    Raises:
      UserError: what `result.load` raises, or they were not all trained on the same data, split alike.
    """
    members = [result.load(workdir) for workdir in dict.fromkeys(workdirs)]
    own = _shared(members[0])
    for other in members[1:]:
        differing = [name for name, value in _shared(other).items() if value != own[name]]
        if differing:
            raise UserError(
                f"--workdir={other.path}: its data differ from those of {members[0].path} in {', '.join(differing)}; "
                "a committee needs runs on the same data, split alike"
            )
    return members


def _shared(run):
    """What the members must have in common: their data, but not where these lie, nor how many workers shared them."""
    data = run.description.data._asdict()
    return {name: value for name, value in data.items() if name not in ("name", "shards")}


def probabilities(members, images):
    """Mean probability of each class, float32 `[N, classes]`, for images as `result.probabilities` takes them."""
    return np.mean([result.probabilities(run, images) for run in members], axis=0)


def score(predicted, labels):
    """(cost in nats per example, accuracy from 0 to 1) of probabilities `[N, classes]` for labels `[N]`."""
    of_truth = np.maximum(predicted[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    return float(-np.log(of_truth, dtype=np.float64).mean()), float((predicted.argmax(axis=1) == labels).mean())


def trusted(members):
    """The smallest probability of an answer to trust."""
    return float(np.mean([result.trusted(run) for run in members]))


def title(members):
    """The members in a few words."""
    return members[0].title if len(members) == 1 else f"a committee of {len(members)} runs"
