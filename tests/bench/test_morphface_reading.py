# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from bench.morphface.reading import PictureReader
from mien_server.deca_codes import CODE_PARTS
from mien_server.warping import warped
from mien_starter.crops import deca_window, generator_crop
from mien_starter.evaluation.networks import predictor
from mien_starter.shipped import shipped
from mien_starter.world import World

OUTPUTS = {
    "face_recognizer": ("embedding",),
    "face_landmarker": ("landmarks_68", "landmarks", "face_score"),
    "deca_encoder": ("codes",),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reader():
    """On the starter weights, as a server with them would answer."""
    graphs = {name: predictor(shipped(name).graph) for name in OUTPUTS}

    def infer(model, inputs, outputs):
        (array,) = inputs.values()
        found = dict(zip(OUTPUTS[model], graphs[model](array), strict=True))
        return {name: found[name] for name in outputs}

    return PictureReader(infer)


@pytest.fixture(scope="module")
def photographs():
    """Two of each of two people nobody was trained on."""
    world = World(192)
    return [world.photograph(identity, shot) for identity in (110_003, 110_004) for shot in (0, 1)]


@pytest.fixture(scope="module")
def crops(photographs):
    return np.stack([generator_crop(p.image_rgb, p.landmarks + 0.5) for p in photographs])


def test_embeddings_tell_people_in_aligned_pictures_apart(reader, crops):
    embeddings, _, _ = reader.read(crops)

    cosines = embeddings @ embeddings.T
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(4), abs=1e-4)
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.1


def test_codes_are_those_of_the_photograph_itself(reader, crops, photographs):
    """The photograph's own crop shows what lies outside the aligned picture, and is turned."""
    encode = predictor(shipped("deca_encoder").graph)
    windows = [deca_window(p.landmarks_68 + 0.5) for p in photographs]
    (own,) = encode(
        np.stack([warped(p.image_rgb, w, 224) for p, w in zip(photographs, windows, strict=True)])
    )

    _, codes, _ = reader.read(crops)

    jaw = slice(203, 206)
    assert np.abs(codes[:, jaw] - own[:, jaw]).max() < 0.1
    for part in ("expression", "texture", "light"):
        found, wanted = codes[:, CODE_PARTS[part]], own[:, CODE_PARTS[part]]
        spread = np.abs(wanted - wanted.mean(axis=0)).mean()
        assert np.abs(found - wanted).mean() < spread, part


def test_faces_are_taken_for_faces_and_grey_is_not(reader, crops):
    _, _, scores = reader.read(np.concatenate([crops, np.full_like(crops[:1], 128)]))

    assert (scores[:4] > 0.5).all()
    assert scores[4] < 0.5


def test_a_picture_is_read_alike_alone_and_among_others(reader, crops):
    many = np.concatenate([crops[:1], *[crops] * 4])

    together, alone = reader.read(many), reader.read(crops[:1])

    for found, wanted in zip(together, alone, strict=True):
        assert found[0] == pytest.approx(wanted[0], abs=2e-3)
