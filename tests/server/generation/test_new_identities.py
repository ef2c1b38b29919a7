# SPDX-License-Identifier: Apache-2.0
import threading

import numpy as np
import pytest

from mien_server.errors import ServingError
from mien_server.generation.identity_tokens import Identity, IdentityTokens
from mien_server.generation.new_identities import IdentitySampler

TOKENS = IdentityTokens(bytes(range(32)), "weights")


def embedding(seed):
    """People come in pairs that look alike: 2 n and 2 n + 1; two of other pairs, not at all."""
    vector = np.zeros(512, np.float32)
    vector[seed // 2 % 400], vector[500 + seed % 2] = 0.8, 0.6
    return vector


class Generator:
    """Seeds to tokens, in any order of the threads that ask."""

    def __init__(self):
        self.asked, self.lock = [], threading.Lock()

    def __call__(self, call):
        assert call.inputs["count"].tolist() == [0]
        (seed,) = call.inputs["identity_seed"].tolist()
        with self.lock:
            self.asked.append(seed)
        token = TOKENS.seal(Identity(embedding(seed))).encode()
        yield {
            "event": np.array([b"started"], object),
            "identity_token": np.array([token], object),
        }


@pytest.fixture
def sampler():
    return IdentitySampler(Generator(), TOKENS, untrained=False)


def ask(sampler, **inputs):
    dtypes = {"count": np.int32, "seed": np.uint64, "max_similarity": np.float32}
    return sampler.answer(
        {
            name: np.array(value if isinstance(value, list) else [value], dtypes.get(name, object))
            for name, value in inputs.items()
        }
    )


def test_who_looks_like_somebody_is_left_out(sampler):
    answer = ask(sampler, count=3, seed=10, max_similarity=0.5)

    assert answer["seeds"].tolist() == [10, 12, 14]
    assert answer["candidates"].tolist() == [5]
    np.testing.assert_allclose(answer["largest_similarity"], 0.36, atol=1e-6)
    for seed, token in zip(answer["seeds"], answer["identity_tokens"], strict=True):
        np.testing.assert_array_equal(TOKENS.open(token.decode()).embedding, embedding(int(seed)))
    assert answer["untrained"].tolist() == [False]


def test_who_looks_like_a_given_one_is_left_out(sampler):
    given = [TOKENS.seal(Identity(embedding(seed))).encode() for seed in (11, 12)]

    answer = ask(sampler, count=1, seed=10, max_similarity=0.5, others=given)

    assert answer["seeds"].tolist() == [14]


def test_the_same_seed_gives_the_same_people_and_none_gives_others(sampler):
    first, again = (ask(sampler, count=4, seed=7, max_similarity=0.5) for _ in range(2))
    drawn = [ask(sampler)["seeds"].tolist() for _ in range(2)]

    assert first["seeds"].tolist() == again["seeds"].tolist()
    assert drawn[0] != drawn[1]


def test_seeds_go_round_at_their_end(sampler):
    answer = ask(sampler, count=2, seed=2**64 - 1, max_similarity=0.99)

    assert answer["seeds"].tolist() == [2**64 - 1, 0]


def test_one_alone_is_similar_to_nobody(sampler):
    assert ask(sampler, seed=1)["largest_similarity"].tolist() == [-1.0]


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"count": 0}, "INVALID_OPTION", "between 1 and 64"),
        ({"count": 65}, "INVALID_OPTION", "between 1 and 64"),
        ({"max_similarity": 1.5}, "INVALID_OPTION", "between -1 and 1"),
        ({"others": [b"x"]}, "INVALID_IDENTITY", "no identity token"),
        (
            {"count": 2, "max_similarity": -0.5, "seed": 1},
            "INVALID_OPTION", "of 32 candidates only 1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused(sampler, inputs, code, words):
    with pytest.raises(ServingError, match=words) as refused:
        ask(sampler, **inputs)

    assert refused.value.code == code


def test_a_search_ends_when_its_caller_has_gone():
    generator, asked = Generator(), iter((False, True))
    sampler = IdentitySampler(generator, TOKENS, untrained=False)

    with pytest.raises(ServingError) as refused:
        sampler.answer({"count": np.array([64], np.int32)}, lambda: next(asked))

    assert refused.value.code == "CANCELLED"
    assert len(generator.asked) == 8


def test_a_refusal_of_the_generator_is_passed_on():
    def overloaded(call):
        raise ServingError("OVERLOADED", "later")
        yield

    with pytest.raises(ServingError) as refused:
        ask(IdentitySampler(overloaded, TOKENS, untrained=False))

    assert refused.value.code == "OVERLOADED"
