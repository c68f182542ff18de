"""Which of the user's rows are held out: a part of each class, in any order of the rows."""

import re

import numpy as np
import pytest

from mlp_tf import UserError, data
from mlp_tf.data.held_out import choose, spare


def make_rows(counts, seed=0):
    """(hashes, labels) of this many rows of each class, in any order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return rng.integers(0, 2**64, len(labels), np.uint64), labels


@pytest.mark.parametrize(
    ("counts", "size", "taken"),
    [
        ((600, 300, 100), 100, (60, 30, 10)),
        ((5, 3, 2), 4, (2, 1, 1)),  # 2, 1.2 and 0.8
        ((10, 10, 10), 4, (2, 1, 1)),  # the first class goes first where remainders are equal
        ((70, 20, 10), 9, (6, 2, 1)),  # 6.3, 1.8 and 0.9
        ((1, 1, 8), 5, (0, 0, 5)),  # 0.5, 0.5 and 4, but a class keeps one
        ((1, 2, 7), 7, (0, 1, 6)),  # all but one of each class
        ((1, 2, 7), 0, (0, 0, 0)),
    ],
)
def test_each_class_gives_its_part_and_keeps_a_row(counts, size, taken):
    hashes, labels = make_rows(counts)
    chosen = choose(hashes, labels, size)
    assert chosen.dtype == bool
    assert tuple(labels[chosen].tolist().count(each) for each in range(len(counts))) == taken


def test_every_size_up_to_what_can_be_spared_is_met_exactly():
    for seed in range(5):
        counts = np.random.default_rng(seed).integers(1, 30, 6).tolist()
        hashes, labels = make_rows(counts, seed)
        assert spare(labels) == sum(counts) - 6
        for size in range(sum(counts) - 5):
            left = labels[~choose(hashes, labels, size)].tolist()
            assert len(left) == sum(counts) - size
            assert set(left) == set(range(6))


def test_the_rows_of_lowest_hash_in_each_class_are_chosen():
    hashes, labels = make_rows((40, 30, 30))
    chosen = choose(hashes, labels, 20)
    for label, taken in enumerate((8, 6, 6)):
        of_class = sorted(hashes[labels == label].tolist())
        assert sorted(hashes[chosen & (labels == label)].tolist()) == of_class[:taken]


@pytest.mark.parametrize(
    ("counts", "size", "rows"),
    [
        ((5, 3, 2), 4, [0, 3, 5, 7]),
        ((3, 9, 1, 8), 7, [0, 3, 7, 11, 14, 15, 19]),
        ((2, 2, 2, 2, 12), 9, [0, 6, 7, 10, 11, 14, 15, 18, 19]),
        ((4, 0, 7, 3), 5, [0, 6, 7, 10, 11]),
    ],
)
def test_the_choice_never_changes(counts, size, rows):
    """Otherwise a run would not find its data again: these are the rows that version 0.8.0 chose."""
    n = sum(counts)
    labels = np.repeat(np.arange(len(counts)), counts)[np.arange(n) * 7 % n]
    hashes = np.arange(n, dtype=np.uint64) * np.uint64(11400714819323198485) % np.uint64(997)
    assert np.flatnonzero(choose(hashes, labels, size)).tolist() == rows


def test_the_order_of_the_rows_does_not_matter():
    hashes, labels = make_rows((40, 33, 27))
    expected = set(hashes[choose(hashes, labels, 17)].tolist())
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(100)
        assert set(hashes[order][choose(hashes[order], labels[order], 17)].tolist()) == expected


def test_which_rows_of_a_class_are_chosen_is_not_up_to_other_classes():
    hashes, labels = make_rows((40, 33, 27))
    changed = np.where(labels == 1, hashes, hashes[::-1] ^ np.uint64(12345))
    chosen = hashes[choose(hashes, labels, 17) & (labels == 1)]
    np.testing.assert_array_equal(changed[choose(changed, labels, 17) & (labels == 1)], chosen)


@pytest.fixture
def save(tmp_path):
    """Writes an .npz of different examples without a test split; returns its path."""

    def save_npz(labels, order=slice(None), seed=0):
        examples = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8), np.uint8)
        np.savez(tmp_path / "a.npz", x_train=examples[order], y_train=np.array(labels)[order])
        return str(tmp_path / "a.npz")

    return save_npz


def keys(split):
    """What is in a split, whatever the order."""
    return sorted((image.tobytes(), label) for image, label in zip(split.images, split.labels.tolist(), strict=True))


def counts_of(split):
    """The number of rows of each class in a split."""
    return [split.labels.tolist().count(label) for label in range(split.classes)]


LABELS = [0] * 300 + [1] * 200 + [2] * 100  # sorted by class, as files from a loop over folders are


def test_a_sixth_of_each_class_is_held_out_where_there_is_no_test_split(save):
    splits = data.load(save(LABELS))
    assert counts_of(splits.test) == [50, 33, 17]
    assert counts_of(splits.validation) == [25, 17, 8]  # a tenth of the 500 others
    assert counts_of(splits.train) == [225, 150, 75]
    test_note, validation_note = splits.notes
    assert "100 of the 600 rows are held out for it" in test_note
    assert "50 of the 500 training rows are held out for validation; --validation_size=N" in validation_note


def test_the_three_splits_are_disjoint_and_together_all_rows(save):
    path = save(LABELS)
    splits = data.load(path, validation_size=31)
    found = [key for split in (splits.train, splits.validation, splits.test) for key in keys(split)]
    with np.load(path) as arrays:
        assert sorted(found) == keys(data.Split(arrays["x_train"], arrays["y_train"]))
    assert (len(set(found)), len(splits.validation.labels)) == (600, 31)


def test_the_rows_of_each_split_keep_the_order_of_the_file(tmp_path):
    numbers = np.arange(600, dtype=np.float32)[:, None]
    np.savez(tmp_path / "a.npz", x_train=numbers, y_train=LABELS)
    splits = data.load(str(tmp_path / "a.npz"))
    for split in (splits.train, splits.validation, splits.test):
        found = split.images[:, 0].astype(int)
        assert (np.diff(found) > 0).all()
        assert split.labels.tolist() == [LABELS[number] for number in found]


def test_the_same_rows_are_held_out_after_the_file_is_shuffled(save):
    one = data.load(save(LABELS))
    other = data.load(save(LABELS, np.random.default_rng(1).permutation(600)))
    for name in ("train", "validation", "test"):
        assert keys(getattr(one, name)) == keys(getattr(other, name))


@pytest.mark.parametrize(("size", "counts"), [(None, [30, 20, 10]), (6, [3, 2, 1]), (597, [299, 199, 99])])
def test_an_npz_sorted_by_class_validates_on_every_class(tmp_path, size, counts):
    images = np.random.default_rng(0).integers(0, 256, (600, 8, 8), np.uint8)
    test = {"x_test": 255 - images[::100], "y_test": LABELS[::100]}
    np.savez(tmp_path / "a.npz", x_train=images, y_train=LABELS, **test)
    splits = data.load(str(tmp_path / "a.npz"), validation_size=size)
    assert counts_of(splits.validation) == counts
    np.testing.assert_array_equal(splits.test.images, test["x_test"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, 0, 1, 0],
            "a.npz: 5 rows of 2 classes; at least 6 rows, and more rows than classes, are needed to hold",
        ),
        (range(7), "a.npz: 7 rows of 7 classes; at least 6 rows, and more rows than classes,"),
    ],
)
def test_too_few_rows_to_hold_any_out_are_refused(save, labels, message):
    with pytest.raises(UserError, match=re.escape(message)):
        data.load(save(labels))


def test_six_rows_of_two_classes_leave_one_to_test(save):
    splits = data.load(save([0, 1, 0, 1, 0, 0]))
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [5, 0, 1]
    assert set(splits.train.labels.tolist()) == {0, 1}


def test_many_small_classes_leave_what_they_cannot_give_to_large_ones():
    labels = np.concatenate([np.arange(1000), np.full(1000, 1000)])
    chosen = choose(np.arange(2000, dtype=np.uint64), labels, 900)
    assert np.flatnonzero(chosen).tolist() == [*range(1000, 1900)]
