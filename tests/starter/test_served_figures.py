# SPDX-License-Identifier: Apache-2.0
"""A server whose errors are planted, asked through the client's own types."""

import numpy as np
import pytest

from mien import Embedding, Face, FittedFace, ModelNotFoundError, NoFaceError
from mien_starter.dataset import DatasetPlan, render
from mien_starter.evaluation import served
from mien_starter.shards import Photographs
from tests.export.small_heads import make_head
from tests.starter.fake_world import FakeWorld

PEOPLE, SHOTS = 6, 3


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("served")
    render(DatasetPlan("held_out", PEOPLE, SHOTS, size_px=64), directory, FakeWorld)
    return Photographs([directory])


class PlantedClient:
    """Tells the truth about one photograph after the other, with errors that are known.

    Landmarks are off by 2 % of the distance between the eyes; `refused` photographs have no face,
    in `elsewhere` another thing is taken for one.
    """

    def __init__(self, photographs, refused=(), elsewhere=()):
        self.photographs, self.refused, self.elsewhere = photographs, refused, elsewhere
        self.fitted = self.embedded = -1

    def __call__(self, address):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def face(self, index):
        labels = self.photographs.labels
        points_68, points_5 = labels["landmarks_68"][index], labels["landmarks"][index]
        eyes = np.linalg.norm(points_68[45] - points_68[36])
        off = (eyes * 0.02, 0) if index not in self.elsewhere else (eyes * 9, 0)
        if index in self.refused:
            raise NoFaceError("none", model_name="fit_faces", request_id="1", status="INVALID")
        return Face((0, 0, 1, 1), points_5 + off), points_68 + off

    def fit(self, image, shape_source):
        if shape_source == "deca":
            return self.fit_of_deca()
        self.fitted += 1
        face, points_68 = self.face(self.fitted)
        codes = self.photographs.labels["codes"][self.fitted]
        nothing = np.zeros((1, 3), np.float32)
        shape = np.pad(codes[:100], (0, 200))
        return FittedFace(
            codes, shape, nothing, nothing, face, points_68, points_68, None, False, "1"
        )

    def fit_of_deca(self):
        face, points_68 = self.face(self.fitted)
        nothing = np.zeros((1, 3), np.float32)
        mean = np.zeros(300, np.float32)
        codes = np.zeros(236, np.float32)
        return FittedFace(
            codes, mean, nothing, nothing, face, points_68, points_68, None, False, ""
        )

    def embed(self, image):
        self.embedded += 1
        face, _ = self.face(self.embedded)
        vector = np.eye(PEOPLE)[self.photographs.labels["identity"][self.embedded] - 110_000]
        return Embedding(vector.astype(np.float32), face, False, "1")


def measure(monkeypatch, photographs, **errors):
    monkeypatch.setattr(served, "Client", PlantedClient(photographs, **errors))
    return served.measure_server("nowhere:1", photographs, make_head())


def test_planted_errors_are_what_is_measured(photographs, monkeypatch):
    figures = measure(monkeypatch, photographs)

    assert figures["faces_missed"] == 0
    assert figures["nme_68_mean"] == pytest.approx(0.02)
    assert figures["nme_5_mean"] == pytest.approx(0.02)
    assert figures["pose_deg_mean"] == pytest.approx(0, abs=1e-3)
    assert figures["mesh_mm_mean"] < 1e-4 < figures["mean_head_mm_mean"]
    assert figures["deca_ratio_to_mean_head"] == pytest.approx(1)
    assert figures["fnmr_at_fmr_1e3"] == 0
    assert figures["mated_pairs"] == PEOPLE * SHOTS * (SHOTS - 1) / 2


def test_faces_that_are_not_found_or_lie_elsewhere_are_missed_and_counted(photographs, monkeypatch):
    figures = measure(monkeypatch, photographs, refused=(0, 5), elsewhere=(7,))

    assert figures["faces_missed"] == pytest.approx(3 / (PEOPLE * SHOTS))
    assert figures["nme_68_mean"] == pytest.approx(0.02)


def test_a_server_without_fits_is_measured_without_them(photographs, monkeypatch):
    class Unfit(PlantedClient):
        def fit(self, image, shape_source):
            raise ModelNotFoundError(
                "none", model_name="fit_faces", request_id="1", status="NOT_FOUND"
            )

    monkeypatch.setattr(served, "Client", Unfit(photographs))
    figures = served.measure_server("nowhere:1", photographs, make_head())

    assert figures["nme_5_mean"] == pytest.approx(0.02)
    assert figures["equal_error_rate"] == 0
    assert not [name for name in figures if name.startswith(("nme_68", "mesh", "pose"))]
