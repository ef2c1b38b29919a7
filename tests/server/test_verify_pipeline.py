# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.decision import DecisionRule
from mien_server.errors import ServingError
from mien_server.verify_pipeline import VerifyRequest, verify_requests

RULE = DecisionRule(
    threshold=0.5,
    fmr=1e-3,
    thresholds=((1e-4, 1.5), (1e-3, 0.5), (1e-2, -1.0)),
    likelihood_ratio=((-1.0, -3.0), (1.0, 3.0)),
)


def embed_faces_of(calls):
    """Embeds by content: the same bytes give the same vector, b"bad…" has no face."""

    def embed_faces(inputs):
        calls.append({name: array.copy() for name, array in inputs.items()})
        images = [bytes(item) for item in inputs["image"].ravel()]
        embedding = np.stack(
            [
                np.random.default_rng(list(image)).standard_normal(512).astype(np.float32)
                for image in images
            ]
        )
        boxes = np.array([[len(image), 0, 9, 9] for image in images], np.float32)
        errors = [b"mien.NO_FACE: none" if image.startswith(b"bad") else b"" for image in images]
        return {
            "embedding": embedding,
            "box_xyxy": boxes,
            "landmarks": np.zeros((len(images), 5, 2), np.float32),
            "error": np.array(errors, dtype=object)[:, None],
        }

    return embed_faces


def pairs(*images, on_error="raise", policy="largest", fmr=None):
    probe, reference = zip(*images, strict=True)
    return VerifyRequest(
        probe_image=np.array(probe, dtype=object)[:, None],
        reference_image=np.array(reference, dtype=object)[:, None],
        policies=[policy] * len(images),
        on_error=[on_error] * len(images),
        fmr=fmr or [None] * len(images),
    )


def verify(*requests, calls=None):
    return verify_requests(
        requests, embed_faces_of([] if calls is None else calls), rule=RULE, untrained=True
    )


def test_a_whole_batch_takes_one_call():
    calls = []

    verify(pairs((b"a", b"b")), pairs((b"c", b"d"), (b"e", b"f"), policy="single"), calls=calls)

    (call,) = calls
    assert [bytes(i) for i in call["image"].ravel()] == [b"a", b"c", b"e", b"b", b"d", b"f"]
    policies = [bytes(p) for p in call["face_policy"].ravel()]
    assert policies == [b"largest", b"single", b"single"] * 2
    assert set(call["on_error"].ravel()) == {b"report"}


def test_a_pair_scores_the_same_alone_and_in_a_crowd():
    crowd = verify(pairs((b"a", b"b")), pairs((b"c", b"c"), (b"bad", b"d"), on_error="report"))
    alone = verify(pairs((b"c", b"c")))[0]

    np.testing.assert_array_equal(crowd[1]["similarity"][0], alone["similarity"][0])
    assert alone["is_match"].all()
    assert alone["similarity"][0, 0] == pytest.approx(1)


def test_each_side_keeps_its_own_box():
    (answer,) = verify(pairs((b"aaa", b"b")))

    assert answer["probe_box_xyxy"][0, 0] == 3
    assert answer["reference_box_xyxy"][0, 0] == 1


def test_swapping_the_sides_keeps_the_score():
    one, other = verify(pairs((b"a", b"b")), pairs((b"b", b"a")))

    np.testing.assert_array_equal(one["similarity"], other["similarity"])


def test_a_bad_photograph_fails_its_own_request_and_says_which():
    good, bad, several = verify(
        pairs((b"a", b"a")), pairs((b"a", b"bad")), pairs((b"a", b"a"), (b"bad", b"a"))
    )

    assert good["is_match"].all()
    assert isinstance(bad, ServingError)
    assert (bad.code, bad.text) == ("NO_FACE", "reference_image: none")
    assert several.text == "pair 2 of 2: probe_image: none"


def test_report_marks_the_pair_and_scores_the_rest():
    (answer,) = verify(pairs((b"bad", b"bad"), (b"a", b"a"), on_error="report"))

    assert np.isnan(answer["similarity"][0, 0])
    assert answer["is_match"].ravel().tolist() == [False, True]
    assert answer["error"][0, 0] == b"mien.NO_FACE: probe_image: none"
    assert answer["error"][1, 0] == b""


def test_a_bad_option_fails_its_own_request():
    bad, good = verify(pairs((b"a", b"b"), on_error="shrug"), pairs((b"a", b"b")))

    assert isinstance(bad, ServingError)
    assert bad.code == "INVALID_OPTION"
    assert not isinstance(good, ServingError)


def test_untrained_weights_are_marked_on_every_pair():
    (answer,) = verify(pairs((b"a", b"b"), (b"c", b"d")))

    assert answer["untrained"].ravel().tolist() == [True, True]


def test_pairs_of_one_batch_are_judged_at_rates_of_their_own():
    default, strict, mixed = verify(
        pairs((b"a", b"a")),
        pairs((b"a", b"a"), fmr=[1e-4]),
        pairs((b"a", b"b"), (b"a", b"b"), fmr=[1e-2, 1e-3]),
    )

    assert (default["threshold"].item(), default["is_match"].item()) == (0.5, True)
    assert default["fmr"].item() == pytest.approx(1e-3)
    assert (strict["threshold"].item(), strict["is_match"].item()) == (1.5, False)
    assert mixed["threshold"].ravel().tolist() == [-1.0, 0.5]
    assert mixed["is_match"].ravel().tolist() == [True, False]
    np.testing.assert_allclose(mixed["fmr"].ravel(), [1e-2, 1e-3], rtol=1e-6)
    assert {answer["fmr"].dtype for answer in (default, strict, mixed)} == {np.dtype(np.float32)}


def test_the_likelihood_ratio_belongs_to_the_similarity_and_not_to_the_threshold():
    one, other = verify(pairs((b"a", b"b")), pairs((b"a", b"b"), fmr=[1e-2]))

    np.testing.assert_allclose(one["log10_likelihood_ratio"], 3 * one["similarity"], rtol=1e-5)
    np.testing.assert_array_equal(one["log10_likelihood_ratio"], other["log10_likelihood_ratio"])


def test_a_rate_that_was_not_calibrated_fails_its_own_request():
    good, bad, several = verify(
        pairs((b"a", b"a")),
        pairs((b"a", b"a"), fmr=[1e-6]),
        pairs((b"a", b"a"), (b"a", b"a"), fmr=[1e-3, 0.5]),
    )

    assert good["is_match"].all()
    assert bad.code == several.code == "INVALID_OPTION"
    assert "fmr is 1e-06" in bad.text
    assert several.text.startswith("pair 2 of 2: fmr is 0.5")


def test_report_marks_the_pair_whose_rate_was_not_calibrated():
    (answer,) = verify(pairs((b"a", b"a"), (b"a", b"a"), fmr=[0.5, 1e-3], on_error="report"))

    assert answer["error"][0, 0].startswith(b"mien.INVALID_OPTION: fmr is 0.5")
    assert answer["error"][1, 0] == b""
    for name in ("similarity", "threshold", "fmr", "log10_likelihood_ratio"):
        assert np.isnan(answer[name]).ravel().tolist() == [True, False]
    assert answer["is_match"].ravel().tolist() == [False, True]


def test_a_refused_photograph_has_no_likelihood_ratio():
    (answer,) = verify(pairs((b"bad", b"a"), on_error="report"))

    assert np.isnan(answer["log10_likelihood_ratio"]).all()
