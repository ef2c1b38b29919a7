# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.generation.calls import GenerationCalls
from mien_server.generation.finishing import Finisher
from tests.server.generation.planted_generator import PlantedGenerator

LATENT = np.zeros((3, 32, 32), np.float32)


class Job:
    """Keeps what it is told; `cannot_take` is a method of its own that fails."""

    def __init__(self, cannot_take=""):
        self.cannot_take, self.told, self.error = cannot_take, [], None
        self.caller_is_gone = self.has_ended = False

    def is_cancelled(self):
        if self.cannot_take == "is_cancelled":
            raise ConnectionError("the stream is broken")
        return self.caller_is_gone or self.error is not None

    def face_made(self, number, image, embedding):
        self._take("face_made", number)

    def preview_made(self, number, image, steps_done):
        self._take("preview_made", number)

    def cancelled(self):
        self.has_ended = True

    def failed(self, error):
        assert self.error is None
        self.error = error
        self.has_ended = True
        if self.cannot_take == "failed":
            raise ConnectionError("the stream is broken")

    def _take(self, method, number):
        if method == self.cannot_take:
            raise ConnectionError("the stream is broken")
        self.told.append((method, number))


@pytest.fixture
def models():
    return PlantedGenerator()


@pytest.fixture
def finisher(models):
    return Finisher(GenerationCalls(models))


def made(finisher):
    """Everything that was ordered so far is made, in as few calls as can be."""
    finisher.start()
    finisher.stop()


@pytest.mark.parametrize("kind", ["face_made", "preview_made"])
def test_an_image_that_cannot_be_handed_over_fails_its_own_job_alone(finisher, models, kind):
    broken, good = Job(cannot_take=kind), Job()
    for job in (broken, good):
        finisher.face(job, 0, LATENT)
        finisher.face(job, 2, LATENT)
        finisher.preview(job, 1, LATENT, steps_done=2)
        finisher.preview(job, 3, LATENT, steps_done=2)

    made(finisher)

    assert len(models.of("latent_decoder")) == 1
    assert isinstance(broken.error, ConnectionError)
    assert {method for method, _ in broken.told} <= {"face_made"} - {kind}
    assert good.error is None
    assert sorted(good.told) == [
        ("face_made", 0), ("face_made", 2), ("preview_made", 1), ("preview_made", 3),
    ]  # fmt: skip


def test_every_job_of_a_call_that_failed_is_told(finisher, models):
    models.broken.add("latent_decoder")
    jobs = [Job(), Job()]
    for job in jobs:
        finisher.preview(job, 0, LATENT, steps_done=2)

    made(finisher)

    assert [job.error.code for job in jobs] == ["MODEL_FAILED", "MODEL_FAILED"]


def test_a_finished_face_takes_the_place_of_its_preview(finisher):
    job = Job()
    finisher.preview(job, 0, LATENT, steps_done=2)
    finisher.preview(job, 1, LATENT, steps_done=2)
    finisher.face(job, 0, LATENT)

    made(finisher)

    assert job.told == [("face_made", 0), ("preview_made", 1)]


def test_a_caller_that_leaves_while_its_image_is_made_ends_its_job(models):
    leaves, stays = Job(), Job()

    def calls(asked):
        leaves.caller_is_gone = True
        return models(asked)

    finisher = Finisher(GenerationCalls(calls))
    finisher.face(leaves, 0, LATENT)
    finisher.face(stays, 0, LATENT)

    made(finisher)

    assert len(models.of("latent_decoder")[0].inputs["z"]) == 2
    assert leaves.has_ended
    assert not leaves.told
    assert stays.told == [("face_made", 0)]


@pytest.mark.parametrize("method", ["is_cancelled", "failed"])
def test_a_job_that_cannot_answer_leaves_the_others_their_images(finisher, method):
    broken, good = Job(cannot_take=method), Job()
    finisher.face(broken, 0, np.full_like(LATENT, np.nan))
    finisher.face(good, 0, LATENT)

    made(finisher)

    assert broken.has_ended
    assert good.told == [("face_made", 0)]
