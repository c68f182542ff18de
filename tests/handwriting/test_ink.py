"""Ink on paper: found in every kind of image, and nothing found where there is none."""

import numpy as np
import pytest

from mlp_tf.handwriting.ink import NoInk, find_ink


def test_any_image_has_ink_or_is_refused():
    rng = np.random.default_rng(0)
    found = 0
    for i in range(200):
        image = rng.random((*rng.integers(1, 40, 2), rng.choice([1, 3])))
        try:
            values = find_ink(image.round() if i % 2 else image).values
        except NoInk:
            continue
        found += 1
        assert (values.min(), values.max()) == (0, 1)
    assert found > 20


@pytest.mark.parametrize("shape", [(1, 2, 3), (60, 60, 1)])
def test_an_image_of_one_color_has_no_ink(shape):
    for level in (0.0, 0.5, 1.0):
        with pytest.raises(NoInk, match="all of one color"):
            find_ink(np.full(shape, level))


def test_a_faint_stroke_beside_a_dark_speck_is_no_error():
    image = np.ones((250, 250, 1))
    image[50:200, 100:124] = 0.7
    image[20:25, 20:25] = 0
    assert find_ink(image).warnings == ("hardly any ink",)


def test_the_end_of_a_shadow_at_the_border_is_no_ink():
    image = np.full((120, 160, 1), 0.9)
    image[40:80, 70:78] = 0.1
    rows, columns = np.indices((120, 160))
    image[columns > rows + 90] *= 0.6  # a wedge in the corner
    rows, columns = np.nonzero(find_ink(image).values)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 79, 70, 77)
