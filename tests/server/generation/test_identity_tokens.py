# SPDX-License-Identifier: Apache-2.0
import base64

import numpy as np
import pytest

from mien_server.errors import ServingError
from mien_server.generation.identity_tokens import Identity, IdentityTokens

KEY = bytes(range(32))
EMBEDDING = np.random.default_rng(0).normal(size=512).astype(np.float32)
SHAPE = np.random.default_rng(1).normal(size=100).astype(np.float32)


@pytest.mark.parametrize("shape", [SHAPE, None])
def test_what_was_sealed_is_opened_to_the_last_bit(shape):
    tokens = IdentityTokens(KEY, "weights")

    found = tokens.open(tokens.seal(Identity(EMBEDDING, shape)))

    assert found.embedding.tobytes() == EMBEDDING.tobytes()
    assert shape is found.shape is None or found.shape.tobytes() == shape.tobytes()


def test_servers_of_one_key_take_each_others_tokens():
    token = IdentityTokens(KEY, "weights").seal(Identity(EMBEDDING))

    assert IdentityTokens(KEY, "weights").open(token).embedding.tobytes() == EMBEDDING.tobytes()


def test_a_token_does_not_show_the_embedding_and_is_never_the_same():
    tokens = IdentityTokens(KEY, "weights")
    one, other = (tokens.seal(Identity(EMBEDDING, SHAPE)) for _ in range(2))

    content = base64.urlsafe_b64decode(one.split(".")[2] + "==")
    assert EMBEDDING.tobytes()[:16] not in content
    assert one != other
    assert one.isascii()
    assert len(one) < 3500


def test_every_altered_character_is_noticed():
    tokens = IdentityTokens(KEY, "weights")
    token = tokens.seal(Identity(EMBEDDING, SHAPE))

    for place in range(0, len(token), 97):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(ServingError) as refused:
            tokens.open(token[:place] + other + token[place + 1 :])
        assert refused.value.code == "INVALID_IDENTITY"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "no identity token"),
        ("x" * 9000, "no identity token"),
        ("mien1.0123456789ab", "no identity token"),
        (IdentityTokens(KEY, "others").seal(Identity(EMBEDDING)), "other weights"),
        (IdentityTokens(KEY[::-1], "weights").seal(Identity(EMBEDDING)), "another key"),
        (
            "mienavatar1" + IdentityTokens(KEY, "weights").seal(Identity(EMBEDDING))[5:],
            "no identity",
        ),
        ("mien2" + IdentityTokens(KEY, "weights").seal(Identity(EMBEDDING))[5:], "form mien2"),
        (IdentityTokens(KEY, "weights").seal(Identity(EMBEDDING))[:40], "altered"),
    ],
    ids=[
        "empty",
        "long",
        "short",
        "weights",
        "key",
        "other",
        "form",
        "cut",
    ],  # tokens differ each time
)
def test_what_cannot_be_opened_is_refused_with_the_reason(token, words):
    with pytest.raises(ServingError, match=words) as refused:
        IdentityTokens(KEY, "weights").open(token)

    assert refused.value.code == "INVALID_IDENTITY"
