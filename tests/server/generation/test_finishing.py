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

    def is_cancelled(self):
        return self.error is not None

    def face_made(self, number, image, embedding):
        self._take("face_made", number)

    def preview_made(self, number, image, steps_done):
        self._take("preview_made", number)

    def cancelled(self):
        pass

    def failed(self, error):
        assert self.error is None
        self.error = error

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
