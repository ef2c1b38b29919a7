# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_export.calibration import read_calibration
from mien_export.contract import read_config
from mien_server.diffusion.schedule import linear_schedule
from mien_starter.dataset import DatasetPlan, render
from mien_starter.denoiser_inputs import denoiser_inputs
from mien_starter.errors import StarterError
from mien_starter.face_features import FaceFeatures
from mien_starter.feature_writing import write_features
from mien_starter.shards import Photographs
from mien_starter.style_maps import maps_from_bytes
from tests.export.tiny import CONTRACTS
from tests.starter.fake_reader import encode, make_reader
from tests.starter.fake_world import FakeWorld


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    directory = tmp_path_factory.mktemp("inputs")
    render(DatasetPlan("train", identities=8, shots=3, size_px=64), directory, FakeWorld)
    write_features(Photographs([directory]), encode, "e", make_reader(), directory / "features")
    return FaceFeatures([directory / "features"])


def brightness(maps):
    """A context that says how bright the maps are."""
    return (np.repeat(maps[:, 3:].mean(axis=(1, 2, 3))[:, None], 512, axis=1),)


@pytest.fixture(scope="module")
def inputs(features):
    return denoiser_inputs(features, brightness, 24, seed=3)


def test_every_part_of_a_sample_is_of_one_face(features, inputs):
    rows = [
        int(np.flatnonzero((features.embeddings == identity).all(axis=1))[0])
        for identity in inputs["c_id"]
    ]

    assert sorted(rows) == list(range(24))
    for sample, row in enumerate(rows):
        (style,) = brightness(maps_from_bytes(features.maps(row))[None])
        np.testing.assert_array_equal(inputs["c_sty"][sample], style[0])
        left = linear_schedule().alpha_bar[int(inputs["t"][sample, 0])]
        noise = (inputs["z"][sample] - np.sqrt(left) * features.latent(row)) / np.sqrt(1 - left)
        assert abs(noise.mean()) < 0.1
        assert abs(noise.std() - 1) < 0.1


def test_timesteps_are_spread_and_no_part_of_them_comes_last(inputs):
    t = inputs["t"][:, 0]

    assert [int(share) for share in np.sort(t) * 24 / 1000] == list(range(24))
    assert t[-6:].max() - t[-6:].min() > 300


def test_contexts_are_kept_as_guidance_asks_for_them(inputs):
    pairs = list(zip(inputs["keep_id"][:, 0], inputs["keep_sty"][:, 0], strict=True))

    assert {pair: pairs.count(pair) for pair in set(pairs)} == {(1, 1): 8, (1, 0): 8, (0, 1): 8}


def test_the_seed_decides_and_the_export_takes_them(features, inputs, tmp_path):
    same, other = (denoiser_inputs(features, brightness, 24, seed=seed) for seed in (3, 4))
    np.savez(tmp_path / "inputs.npz", **inputs)
    contract = read_config(CONTRACTS / "face_denoiser/config.pbtxt")

    assert all(np.array_equal(inputs[name], same[name]) for name in inputs)
    assert not np.array_equal(inputs["z"], other["z"])
    assert len(read_calibration(tmp_path / "inputs.npz", contract)) == 24


def test_more_samples_than_faces_are_refused(features):
    with pytest.raises(StarterError, match="of 24 faces, and 25 are asked for"):
        denoiser_inputs(features, brightness, 25, seed=0)
