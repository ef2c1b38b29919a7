# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.avatar.avatar_code import AvatarCode, AvatarCodes
from mien_server.errors import ServingError
from mien_server.generation.identity_tokens import Identity, IdentityTokens

KEY = bytes(range(32))
RNG = np.random.default_rng(3)
SHAPE = RNG.normal(size=300).astype(np.float32)
CODES = RNG.normal(size=236).astype(np.float32)
OWN_HAIR = RNG.normal(size=512).astype(np.float32)


def sealed(**changes):
    return AvatarCodes(KEY, "weights").seal(AvatarCode(SHAPE, CODES, **changes))


@pytest.mark.parametrize(
    ("hairstyle", "own_hair"), [("", None), ("bob", None), ("", OWN_HAIR), ("x" * 40, None)]
)
def test_what_was_sealed_is_opened_to_the_last_bit(hairstyle, own_hair):
    colour = (0.25, 0.5, 1.0)
    changes = {"hairstyle": hairstyle, "hair_color": colour, "own_hair": own_hair}
    found = AvatarCodes(KEY, "weights").open(sealed(**changes))

    assert found.shape.tobytes() == SHAPE.tobytes()
    assert found.codes.tobytes() == CODES.tobytes()
    assert found.hairstyle == hairstyle
    assert found.hair_color == colour
    assert own_hair is found.own_hair is None or found.own_hair.tobytes() == own_hair.tobytes()


def test_a_code_is_a_few_thousand_characters():
    assert 2500 < len(sealed(hairstyle="bob")) < 3200
    assert len(sealed(own_hair=OWN_HAIR)) < 6200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no avatar code"),
        ("x" * 20000, "no avatar code"),
        (IdentityTokens(KEY, "weights").seal(Identity(OWN_HAIR)), "no avatar code"),
        (AvatarCodes(KEY, "others").seal(AvatarCode(SHAPE, CODES)), "other weights"),
        (AvatarCodes(KEY[::-1], "weights").seal(AvatarCode(SHAPE, CODES)), "another key"),
        (sealed()[:100], "altered"),
    ],
    ids=["empty", "long", "identity", "weights", "key", "cut"],  # codes differ each time
)
def test_what_cannot_be_opened_is_refused_with_the_reason(text, words):
    with pytest.raises(ServingError, match=words) as refused:
        AvatarCodes(KEY, "weights").open(text)

    assert refused.value.code == "INVALID_AVATAR"
