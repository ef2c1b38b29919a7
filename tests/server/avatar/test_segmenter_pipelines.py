# SPDX-License-Identifier: Apache-2.0
"""What a segmenter changes in `create_avatar`, with one that says: hair is above the brows."""

import numpy as np

from mien_server.avatar.avatar_code import AvatarCodes
from tests.server.avatar import planted_avatars as planted
from tests.server.avatar.planted_avatars import Stream, creator, texts
from tests.server.avatar.planted_hair_models import STYLE, HairyModels

PHOTO = planted.portrait_of(0)[1]


def made(models=None, **options):
    """The last event of a request."""
    stream = Stream()
    inputs = {"images": texts(PHOTO), "texture_size": np.int32([256])}
    making = creator(models or HairyModels(), segmenter=True)
    making.answer({**inputs, **{name: texts(value) for name, value in options.items()}}, stream)
    making.close()
    assert stream.refusal is None
    return stream.events[-1]


def colour_of(event):
    code = AvatarCodes(planted.KEY, "planted").open(event["avatar_code"][0].decode())
    return 255 * np.array(code.hair_color)


def test_hair_has_the_colour_that_is_seen_where_the_segmenter_sees_it():
    seen = planted.portrait_of()[0].image_rgb
    event = made(hairstyle=STYLE)

    # The planted pattern differs from place to place: above the brows it has this median.
    ring = planted.landmarks_px(planted.portrait_of()[0].vertices_px)
    above = np.arange(len(seen))[:, None] < ring[17:27, 1].min() - 4
    hair = above & ~((seen > (200, -1, 200)).all(axis=2) & (seen[..., 1] < 60))
    np.testing.assert_allclose(colour_of(event), np.median(seen[hair], axis=0), atol=3)


def test_what_the_segmenter_calls_hair_is_no_skin():
    """The forehead above the brows would be in the texture; covered by hair it is painted over."""
    models = HairyModels()
    with_hair = made(models=models)
    without = made(models=HairyModels(bald=True))

    assert ["texture_decoder", "hair_segmenter"] in models.together
    assert with_hair["texture"][0] != without["texture"][0]
