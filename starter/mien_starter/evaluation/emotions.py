# SPDX-License-Identifier: Apache-2.0
"""Figures of the emotion network on people it was not trained on, whose ways are known.

Nobody can say from six intensities what one person will do, so three truths are kept apart: what
everybody does on average at these intensities, what people of the same sex and age do on average
(which a network that is told the shape can come near), and what the person does.

Letters  N samples, H heads, S settings of a slider. Distances are means over the vertices of the
face, in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_export.networks.emotion_mlp import (
    EMOTION_MLP,
    EMOTIONS,
    NUM_EMOTION_EXPRESSION,
    NUM_EMOTION_POSE,
    EmotionMlp,
    EmotionsFromNeutral,
)
from mien_starter.emotions.faces import actions_shown, codes_of_actions, draw_intensities
from mien_starter.emotions.movements import EXPECTED, Faces, as_expected, foreign_mm, movements_mm
from mien_starter.emotions.people import draw_people
from mien_starter.evaluation.networks import Predict, predictor, wrapped
from mien_starter.recipes.emotion_mlp import network_states, variant_state
from mien_starter.splits import identities
from mien_starter.training.checkpoint import read_average
from mien_starter.training.recipe import Tensors
from mien_starter.world.assets import Assets, default_assets

__all__ = [
    "EmotionTruth",
    "draw_truth",
    "emotion_columns",
    "example_emotions",
    "measure_emotions",
]

Floats = NDArray[np.float32]
Figures = dict[str, float]

SAMPLES, CROWD = 400, 2000
HEADS, SETTINGS = 20, 21
NUM_CODES = NUM_EMOTION_EXPRESSION + NUM_EMOTION_POSE
_SEED = 12
_TRUTHS = ("everybody", "alike", "person")


@dataclass(frozen=True, eq=False)
class EmotionTruth:
    """People and intensities, and what is done at them.

    Attributes:
        emotions: (N, 6) intensities.
        shape: (N, 50) of a person each.
        everybody: (N, 56) mean codes of a crowd.
        alike: (N, 56) mean codes of a crowd of the person's sex and age.
        person: (N, 56) codes of the person.
    """

    emotions: Floats
    shape: Floats
    everybody: Floats
    alike: Floats
    person: Floats


def draw_truth(assets: Assets, samples: int, crowd: int) -> EmotionTruth:
    """Let held-out people show emotions.

    Args:
        assets: whose head it is.
        samples: N, at most `crowd`.
        crowd: people that averages are taken over.
    """
    people = draw_people(identities("held_out", crowd), assets)
    emotions = draw_intensities(samples, np.random.default_rng(_SEED))
    own = people.gains * people.expressiveness[:, :, None]
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in _TRUTHS}
    for index, intensities in enumerate(emotions):
        asked = np.broadcast_to(intensities, people.paces.shape)
        everybody = actions_shown(own, people.paces, asked)
        like_one = people.gains * people.expressiveness[index, :, None]
        rows["everybody"].append(everybody.mean(axis=0))
        rows["alike"].append(actions_shown(like_one, people.paces, asked).mean(axis=0))
        rows["person"].append(everybody[index])
    codes = {name: codes_of_actions(assets.head, np.stack(found)) for name, found in rows.items()}
    return EmotionTruth(emotions, people.shape[:samples], **codes)


def measure_emotions(predict: Predict, truth: EmotionTruth, faces: Faces) -> Figures:
    """Figures of one network.

    Args:
        predict: (N, 6) emotions and (N, 50) shape to (N, 50) expression and (N, 6) pose.
        truth: of `draw_truth`.
        faces: the head.

    Returns:
        For each truth the distance to it, that of the one face which is the mean of all of
        "everybody", and their ratio (for "person" there is no ratio: most of it nobody can know,
        as the distance between the person and those alike says); then what the sliders do.
    """
    found = np.concatenate(predict(truth.emotions, truth.shape), axis=1)
    one_face = np.broadcast_to(truth.everybody.mean(axis=0), found.shape)
    figures: Figures = {}
    for name in _TRUTHS:
        wanted = getattr(truth, name)
        off = float(faces.apart_mm(truth.shape, found, wanted).mean())
        off_mean = float(faces.apart_mm(truth.shape, one_face, wanted).mean())
        figures |= {f"{name}_mm": off, f"{name}_from_mean_face_mm": off_mean}
        if name != "person":
            figures[f"{name}_ratio"] = off / off_mean
    alike = faces.apart_mm(truth.shape, truth.alike, truth.person)
    return {
        **figures,
        "person_from_alike_mm": float(alike.mean()),
        **_slider_figures(predict, truth.shape[:HEADS], faces),
    }


def _slider_figures(predict: Predict, shape: Floats, faces: Faces) -> Figures:
    """What one slider after the other does to H heads, from 0 to 1 in S steps."""
    figures: Figures = {}
    rises, expected = [], []
    count, settings = len(shape), np.linspace(0, 1, SETTINGS, dtype=np.float32)
    heads = np.repeat(shape, SETTINGS, axis=0)  # (H S, 50)
    neutral = np.zeros((len(heads), NUM_CODES), np.float32)
    at_rest = faces.decode(heads[::SETTINGS], neutral[::SETTINGS])[1]
    for index, emotion in enumerate(EMOTIONS):
        emotions = np.zeros((len(heads), len(EMOTIONS)), np.float32)
        emotions[:, index] = np.tile(settings, count)
        codes = np.concatenate(predict(emotions, heads), axis=1)
        moved = faces.apart_mm(heads, codes, neutral).reshape(count, SETTINGS)
        rises.append(np.diff(moved, axis=1) > 0)
        full = codes[SETTINGS - 1 :: SETTINGS]
        found = movements_mm(faces.decode(shape, full)[1], at_rest)
        expected.append(as_expected(emotion, found))
        figures[f"{emotion}_mm"] = float(moved[:, -1].mean())
        figures[f"{emotion}_foreign_mm"] = float(foreign_mm(faces.head, emotion, full).mean())
        for name in EXPECTED[emotion]:
            figures[f"{emotion}_{name}_mm"] = float(found[name].mean())
    unmoved = np.concatenate(predict(neutral[:count, : len(EMOTIONS)], shape), axis=1)
    return {
        **figures,
        "steps_that_move_farther": float(np.mean(rises)),
        "movements_as_expected": float(np.concatenate(expected, axis=1).mean()),
        "neutral_largest_code": float(np.abs(unmoved).max()),
    }


def emotion_columns(work: Path, weights: Path | None, *, random: bool = True) -> dict[str, Any]:
    """What ``evaluate`` prints and writes of the emotion networks.

    Args:
        work: folder of a run.
        weights: a file to measure instead.
        random: measure random weights, too.

    Raises:
        StarterError: there is no run in the folder.
    """
    assets = default_assets()
    truth, faces = draw_truth(assets, SAMPLES, CROWD), Faces(assets.head)
    networks: dict[str, Predict] = {}
    if weights is None:
        state, about = read_average(work)
        networks["trained"] = _served(network_states(state)["emotion_mlp"])
        networks["emotions_alone"] = _plain(variant_state(state, "plain"))
    else:
        about = {"file": str(weights)}
        networks["trained"] = _served(weights)
    if random:
        networks["random"] = _served(None)
    return {
        "weights": about,
        "measured_on": f"{SAMPLES} held-out people, averages over {CROWD}; one slider at a time on "
        f"{HEADS} of them",
        "figures": {
            name: measure_emotions(predict, truth, faces) for name, predict in networks.items()
        },
    }


def example_emotions(count: int) -> Mapping[str, tuple[Floats, Floats]]:
    """Inputs of the graph, for comparing weights.

    Args:
        count: N.

    Returns:
        (N, 6) intensities and (N, 50) shapes of held-out people, by graph.
    """
    people = draw_people(identities("held_out", count), default_assets())
    emotions = draw_intensities(count, np.random.default_rng(_SEED))
    return {"emotion_mlp": (emotions, people.shape)}


def _served(tensors: Tensors | Path | None) -> Predict:
    return predictor(wrapped("emotion_mlp", tensors))


def _plain(tensors: Tensors) -> Predict:
    network = EmotionMlp(EMOTION_MLP)
    network.load_state_dict(tensors)
    return predictor(EmotionsFromNeutral(network).eval())
