# SPDX-License-Identifier: Apache-2.0
"""Even skin: folds go, what is smaller or larger stays, and so does everything that is no skin."""

import numpy as np
import pytest

from mien_server.avatar.texture.evening import evened
from mien_server.avatar.texture.plain_skin import plain_skin
from tests.server.avatar.portraits import atlas, mean_landmarks, plain

ATLAS = atlas(512)
X, Y, Z = np.moveaxis(ATLAS.position, -1, 0)
CHEEKS = (ATLAS.plain > 0.99) & (np.abs(X) > 0.03) & (Y < 0.0) & (Y > -0.05) & (Z > 0)


def painted(where, factor):
    texture = plain(size=512)
    texture[where] *= np.float32(factor)
    return texture


def contrast(texture, where):
    """How much darker a place is than cheeks at large, in natural logarithms."""
    return float(np.log(texture[CHEEKS & ~where].mean() / texture[where].mean()))


def test_features_are_no_plain_skin_and_cheeks_and_forehead_are():
    features = [*range(17, 27), *range(31, 68)]
    landmarks = mean_landmarks()
    at_landmarks = plain_skin(landmarks[None, features], landmarks, ATLAS.measures.third)

    np.testing.assert_array_equal(at_landmarks, 0)
    between = np.array([landmarks[[36, 39]].mean(axis=0), landmarks[[51, 57]].mean(axis=0)])
    assert (plain_skin(between[None], landmarks, ATLAS.measures.third) == 0).all()
    assert CHEEKS.sum() > 4000
    forehead = (np.abs(X) < 0.02) & (ATLAS.measures.brows + 0.012 < Y) & (ATLAS.photograph > 0.99)
    assert ATLAS.plain[forehead].min() > 0.95


@pytest.mark.parametrize("factor", [0.75, (0.8, 0.7, 0.7), 1.2], ids=["shadow", "red", "gloss"])
def test_a_fold_loses_most_of_its_contrast(factor):
    fold = CHEEKS & (np.abs(X - 0.04) < 0.002)
    assert fold.sum() > 200
    before = painted(fold, factor)

    after = evened(before, ATLAS)

    assert abs(contrast(after, fold)) < 0.5 * abs(contrast(before, fold))


def test_freckles_stay():
    freckles = CHEEKS & (np.random.default_rng(3).uniform(size=X.shape) < 0.02)
    before = painted(freckles, 0.75)

    after = evened(before, ATLAS)

    assert contrast(after, freckles) > 0.7 * contrast(before, freckles)


def test_a_beard_and_the_tone_of_skin_stay():
    beard = (ATLAS.plain > 0.99) & (Y < -0.055)
    before = painted(beard, 0.5)
    after = evened(before, ATLAS)

    inside = beard & (Y < -0.065)
    np.testing.assert_allclose(after[inside].mean(axis=0), before[inside].mean(axis=0), rtol=0.08)
    even = plain(size=512)
    np.testing.assert_allclose(evened(even, ATLAS), even, rtol=1e-4)


def test_what_is_no_plain_skin_is_not_touched():
    texture = np.random.default_rng(0).uniform(size=(512, 512, 3)).astype(np.float32)

    after = evened(texture, ATLAS)

    elsewhere = ATLAS.plain == 0
    assert elsewhere.mean() > 0.3
    np.testing.assert_array_equal(after[elsewhere], texture[elsewhere])
    assert ((after >= 0) & (after <= 1)).all()
