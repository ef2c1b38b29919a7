# SPDX-License-Identifier: Apache-2.0
"""The weights that ship, on the real server: synthetic people with known truth, and a portrait."""

import json
from itertools import combinations, count, islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien import Client
from mien_starter.splits import identities
from mien_starter.world import World
from tests.photographs import astronaut, encoded

pytestmark = [pytest.mark.triton, pytest.mark.slow]

WEIGHTS = Path(__file__).parents[2] / "starter" / "weights"
MEGABYTE = 1_000_000
# Marked by hand on the portrait: middles of the eyelids, nose tip, corners of the mouth.
ASTRONAUT = np.array([(203, 102), (248, 104.5), (223.5, 127.5), (203.5, 140), (246.5, 140.5)])
PEOPLE, SHOTS = 8, 3


@pytest.fixture(scope="module")
def client(starter_server):
    with Client(starter_server.grpc_address) as connected:
        yield connected


@pytest.fixture(scope="module")
def photographs():
    """Held-out people facing the camera more or less, nothing in front of their faces."""
    world = World(256)
    taken = []
    for person in identities("held_out", PEOPLE):
        shots = (world.photograph(person, shot) for shot in count())
        taken += islice((shot for shot in shots if is_plain(shot.attributes)), SHOTS)
    return taken


@pytest.fixture(scope="module")
def answers(client, photographs):
    return [client.embed(encoded(Image.fromarray(shot.image_rgb), "PNG")) for shot in photographs]


def is_plain(attributes) -> bool:
    turned = max(abs(attributes[f"{angle}_deg"]) for angle in ("yaw", "pitch", "roll"))
    return attributes["accessory"] == "none" and turned < 15


def eye_distance(landmarks) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def test_the_five_points_of_a_real_portrait_are_found(client):
    found = client.embed(encoded(astronaut())).face

    off = np.linalg.norm(found.landmarks - ASTRONAUT, axis=1) / eye_distance(ASTRONAUT)
    assert found.alignment == "landmarks"
    assert off.max() < 0.12


def test_the_points_of_synthetic_people_are_found(answers, photographs):
    errors = [
        # The server counts from the corner of the first pixel, the world from its centre.
        np.linalg.norm(answer.face.landmarks - shot.landmarks - 0.5, axis=1).mean()
        / eye_distance(shot.landmarks)
        for answer, shot in zip(answers, photographs, strict=True)
    ]

    assert np.mean(errors) < 0.04
    assert max(errors) < 0.12


def test_two_photographs_of_one_person_are_more_alike_than_those_of_two(answers, photographs):
    mated, others = [], []
    for (a, shot), (b, other) in combinations(zip(answers, photographs, strict=True), 2):
        of_one = shot.identity == other.identity
        (mated if of_one else others).append(float(a.vector @ b.vector))

    # A random network puts one pair of two people in two above a mated pair.
    beaten = (np.array(mated)[:, None] > np.array(others)[None]).mean()
    assert beaten > 0.95
    assert not any(answer.untrained for answer in answers)


def test_heads_are_fitted_to_synthetic_people_and_to_the_portrait(client, photographs):
    head_turns = []
    for shot in photographs:
        fit = client.fit(encoded(Image.fromarray(shot.image_rgb), "PNG"))
        true, found = (
            cv2.Rodrigues(turn.astype(float))[0] for turn in (shot.pose[:3], fit.pose[:3])
        )
        cosine = (np.trace(true.T @ found) - 1) / 2
        head_turns.append(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    portrait = client.fit(encoded(astronaut()))

    assert np.mean(head_turns) < 6
    assert portrait.landmark_error_px < 0.1 * eye_distance(ASTRONAUT)
    assert not portrait.untrained


def test_verification_is_calibrated(client, photographs):
    first, second = (encoded(Image.fromarray(photographs[row].image_rgb), "PNG") for row in (0, 1))
    by_rate = {rate: client.verify(first, second, fmr=rate) for rate in (1e-2, 1e-3, 1e-4)}
    default = client.verify(first, second)

    thresholds = [by_rate[rate].threshold for rate in (1e-2, 1e-3, 1e-4)]
    assert thresholds == sorted(set(thresholds))
    assert default.fmr == pytest.approx(1e-3, rel=1e-3)
    assert default.threshold == by_rate[1e-3].threshold
    assert np.isfinite(default.log10_likelihood_ratio)


def test_the_shipped_files_are_small_and_each_network_has_a_card():
    entries = json.loads((WEIGHTS / "starter.json").read_text())
    sizes = {path.name: path.stat().st_size for path in WEIGHTS.iterdir()}

    assert max(sizes.values()) <= 16 * MEGABYTE
    assert sum(sizes.values()) <= 96 * MEGABYTE
    for entry in entries.values():
        assert entry["allow_commercial"] is True
        if entry["file"].endswith(".safetensors"):
            assert Path(entry["file"]).with_suffix(".md").name in sizes
