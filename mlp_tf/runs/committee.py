"""Several runs that answer together, by the mean of their probabilities (Meier et al. 2011); one is its own answer."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.runs import result

_SHARED = ("image_shape", "dtype", "classes", "class_names", "validation", "sha256")


def load(workdirs):
    """The `result.Result` of each of the folders.

    Raises:
      UserError: what `result.load` raises, or they were not all trained on the same data, split alike: the SHA-256 of
        a run's data depends on that too.
    """
    members = [result.load(workdir) for workdir in workdirs]
    first = members[0].description.data
    for other in members[1:]:
        differing = [name for name in _SHARED if _differ(getattr(first, name), getattr(other.description.data, name))]
        if differing:
            raise UserError(
                f"--workdir={other.path}: its data differ from those of {members[0].path} in {', '.join(differing)}; a "
                "committee needs runs on the same data, with the same --validation_size"
            )
    return members


def _differ(one, other):
    return one != other and () not in (one, other)  # version 0.4.0 did not keep the names of the classes


def probabilities(members, images):
    """Probability of each class by each member, float32 `[members, N, classes]`; the committee's is their mean.

    Args:
      images: as `result.probabilities` takes them.
    """
    return np.stack([result.probabilities(run, images) for run in members])


def score(predicted, labels):
    """{"cost": nats per example, "accuracy": 0 to 1} of probabilities `[N, classes]` for labels `[N]`.

    A probability below 1.2e-38 counts as that, the least that float32 keeps whole: a cost of 87 nats.
    """
    of_truth = np.maximum(predicted[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    right = predicted.argmax(axis=1) == labels
    return {"cost": float(-np.log(of_truth, dtype=np.float64).mean()), "accuracy": float(right.mean())}


def class_names(members):
    """What the classes are called, by a member that knows it."""
    return max((run.description.data for run in members), key=lambda data: len(data.class_names)).names()


def trusted(members):
    """The smallest probability of an answer to trust."""
    return float(np.mean([result.trusted(run) for run in members]))


def title(members):
    """The members in a few words."""
    return members[0].title if len(members) == 1 else f"a committee of {len(members)} runs"
