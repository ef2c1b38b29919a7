# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mien_export.head_model import read_head
from mien_export.networks.flame import (
    DECA_FLAME,
    FLAME_PYTORCH,
    Flame,
    FlameConfig,
    contour_row,
    rodrigues,
)

from .flame_oracle import decode_all
from .small_heads import ROOT, head_arrays, make_head, save_head

REAL_HEAD = ROOT / "starter/weights/head.npz"
HEADS = ["small", "starter"]
NECK, JAW = slice(3, 6), slice(6, 9)


@pytest.fixture(params=HEADS, scope="module")
def head(request):
    return make_head() if request.param == "small" else read_head(REAL_HEAD)


def zeros(batch_size=1) -> dict[str, np.ndarray]:
    sizes = {"shape": 300, "expression": 100, "pose": 15}
    return {name: np.zeros((batch_size, size), np.float32) for name, size in sizes.items()}


def codes(batch_size=3, seed=0, pose_rad=0.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    case = {name: rng.normal(size=array.shape) for name, array in zeros(batch_size).items()}
    case["pose"] *= pose_rad
    return {name: array.astype(np.float32) for name, array in case.items()}


def run(head, case, config=DECA_FLAME) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = Flame(head, config)(*(torch.from_numpy(case[name]) for name in zeros()))
    names = ("vertices", "landmarks_3d", "contour_landmarks_3d")
    return {name: tensor.numpy() for name, tensor in zip(names, outputs, strict=True)}


@pytest.mark.parametrize("config", [DECA_FLAME, FLAME_PYTORCH], ids=["deca", "pytorch"])
@pytest.mark.parametrize("pose_rad", [0.0, 0.3, 3.0])
def test_vertices_and_landmarks_are_those_of_the_papers_in_float64(head, config, pose_rad):
    case = codes(batch_size=5, pose_rad=pose_rad)
    found, wanted = run(head, case, config), decode_all(head, case, config.yaw_sign)

    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6, err_msg=name)


def test_zero_codes_and_zero_pose_give_the_template(head):
    found = run(head, zeros())

    np.testing.assert_allclose(found["vertices"][0], head.v_template, rtol=0, atol=1e-7)


def test_at_rest_vertices_are_linear_in_shape_and_expression(head):
    one, other = codes(seed=1, pose_rad=0), codes(seed=2, pose_rad=0)
    both = {name: one[name] + other[name] for name in one}
    template = head.v_template[None]
    parts = [run(head, case)["vertices"] - template for case in (one, other, both)]

    np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=0, atol=1e-6)


def test_each_unit_coefficient_moves_along_its_own_basis(head):
    case = zeros(2)
    case["shape"][0, 3], case["expression"][1, 7] = 1, 1
    moved = run(head, case)["vertices"] - head.v_template

    np.testing.assert_allclose(moved[0], head.shapedirs[..., 3], rtol=0, atol=1e-7)
    np.testing.assert_allclose(moved[1], head.shapedirs[..., 307], rtol=0, atol=1e-7)


def test_components_of_zeros_cost_nothing_and_change_nothing():
    arrays = head_arrays()
    arrays["shapedirs"][..., 250:300] = 0
    arrays["shapedirs"][..., 351:] = 0
    head, case = make_head(arrays), codes()

    assert Flame(head).get_buffer("shape_basis").shape[0] == 250 + 51
    wanted = decode_all(head, case)["vertices"]
    np.testing.assert_allclose(run(head, case)["vertices"], wanted, rtol=0, atol=1e-6)


def test_a_head_without_any_component_is_its_template():
    head = make_head({**head_arrays(), "shapedirs": np.zeros((98, 3, 400))})

    np.testing.assert_allclose(
        run(head, codes(pose_rad=0))["vertices"],
        np.broadcast_to(head.v_template, (3, 98, 3)),
        atol=1e-7,
    )


def test_a_global_rotation_is_a_rigid_motion_about_the_root_joint(head):
    rest = codes(batch_size=4)
    rest["pose"][:, :3] = 0
    turned = {name: array.copy() for name, array in rest.items()}
    turned["pose"][:, :3] = np.random.default_rng(3).normal(size=(4, 3))
    before, after = run(head, rest)["vertices"], run(head, turned)["vertices"]
    coefficients = np.concatenate([rest["shape"], rest["expression"]], 1)
    shaped = head.v_template + np.moveaxis(head.shapedirs @ coefficients.T, -1, 0)
    root = head.J_regressor[0] @ shaped  # (B, 3)
    rotations = Rotation.from_rotvec(turned["pose"][:, :3]).as_matrix()
    wanted = (before - root[:, None]) @ rotations.transpose(0, 2, 1) + root[:, None]

    np.testing.assert_allclose(after, wanted, rtol=0, atol=2e-6)


def test_without_correctives_the_jaw_moves_only_what_it_carries(head):
    head = dataclasses.replace(head, posedirs=np.zeros_like(head.posedirs))
    case = zeros()
    case["pose"][0, JAW] = [0.3, 0, 0]
    moved = np.abs(run(head, case)["vertices"][0] - head.v_template).max(axis=1)
    carried = head.weights[:, 2] > 0

    assert moved[~carried].max(initial=0) < 1e-7
    assert moved[carried].max() > 1e-3


def test_eyes_turn_about_their_own_joints():
    arrays = head_arrays()
    weights = np.zeros_like(arrays["weights"])
    weights[:, 3] = 1  # everything follows the left eye
    head = make_head({**arrays, "weights": weights, "posedirs": 0 * arrays["posedirs"]})
    case = zeros()
    case["pose"][0, 9:12] = [0, 0.4, 0]
    joint = head.J_regressor[3] @ head.v_template
    turn = Rotation.from_rotvec(case["pose"][0, 9:12]).as_matrix()

    np.testing.assert_allclose(
        run(head, case)["vertices"][0], (head.v_template - joint) @ turn.T + joint, atol=1e-7
    )


def test_a_sample_does_not_know_its_batch(head):
    case = codes(batch_size=6)
    together = run(head, case)
    for i in range(6):
        alone = run(head, {name: array[i : i + 1] for name, array in case.items()})
        for name, array in alone.items():
            np.testing.assert_allclose(array[0], together[name][i], rtol=0, atol=3e-7)


def test_a_permuted_batch_gives_permuted_heads(head):
    case, order = codes(batch_size=6), np.array([3, 0, 5, 1, 4, 2])
    permuted = {name: array[order] for name, array in case.items()}

    for name, array in run(head, permuted).items():
        np.testing.assert_allclose(array, run(head, case)[name][order], rtol=0, atol=3e-7)


ROWS = [
    (0, 0), (0.4, 0), (0.6, 1), (1, 1), (20, 20), (39, 39), (39.4, 39), (60, 39), (89, 39),
    (-0.4, 0), (-0.6, 40), (-1, 40), (-20, 59), (-39, 78), (-39.4, 78), (-40, 78), (-89, 78),
]  # fmt: skip


@pytest.mark.parametrize(("yaw_deg", "row"), ROWS)
def test_the_contour_row_follows_the_yaw_in_whole_degrees(yaw_deg, row):
    neck = torch.from_numpy(Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()[None])

    assert contour_row(neck.float(), 1.0).item() == row
    assert contour_row(neck.float().transpose(1, 2), -1.0).item() == row


@pytest.mark.parametrize("config", [DECA_FLAME, FLAME_PYTORCH], ids=["deca", "pytorch"])
@pytest.mark.parametrize("split", [0.0, 0.5, 1.0], ids=["neck", "both", "root"])
def test_root_and_neck_together_choose_the_contour(config, split):
    """Row r of this head's contour table is triangle r, so the answer names its row."""
    arrays = head_arrays()
    arrays["dynamic_lmk_faces_idx"] = np.repeat(np.arange(79)[:, None], 17, axis=1)
    head = make_head({**arrays, "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3)})
    yaws = np.array([-70, -25, 0, 12, 70])
    case = zeros(len(yaws))
    case["pose"][:, 1] = np.radians(yaws) * split
    case["pose"][:, 4] = np.radians(yaws) * (1 - split)
    found = run(head, case, config)
    centres = found["vertices"][:, head.f].mean(axis=2)  # (B, F, 3)
    seen = config.yaw_sign * yaws
    rows = np.where(seen < 0, 39 - np.maximum(seen, -39), np.minimum(seen, 39))

    for i, row in enumerate(rows):
        contour = found["contour_landmarks_3d"][i, :17]
        np.testing.assert_allclose(contour, np.broadcast_to(centres[i, row], (17, 3)), atol=1e-7)


def test_static_landmarks_are_the_last_51_of_both_sets():
    found = run(make_head(), codes())  # this head's static set is the end of its full one

    np.testing.assert_allclose(
        found["contour_landmarks_3d"][:, 17:], found["landmarks_3d"][:, 17:], atol=1e-7
    )


@pytest.mark.parametrize("magnitude", [0.0, 1e-7, 1e-4, 0.1, 3.0, 2 * np.pi, 50.0])
def test_rodrigues_gives_the_rotation_of_scipy(magnitude):
    axes = np.random.default_rng(0).normal(size=(64, 3))
    vectors = (axes / np.linalg.norm(axes, axis=1, keepdims=True) * magnitude).astype(np.float32)
    found = rodrigues(torch.from_numpy(vectors)).numpy()

    np.testing.assert_allclose(found, Rotation.from_rotvec(vectors).as_matrix(), atol=2e-5)
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-5)


def test_the_one_rotation_that_the_epsilon_cancels_is_finite():
    case = zeros()
    case["pose"][:] = -1e-8

    assert np.isfinite(run(make_head(), case)["vertices"]).all()


def test_poses_of_nan_do_not_read_outside_the_contour_table():
    assert contour_row(torch.full((1, 3, 3), float("nan")), 1.0).item() in range(79)


def test_another_sign_than_the_two_is_refused():
    with pytest.raises(ValueError, match="yaw_sign is 2; expected 1 or -1"):
        FlameConfig(yaw_sign=2)


def test_a_saved_and_a_built_head_decode_alike(tmp_path):
    case = codes()
    saved = read_head(save_head(tmp_path / "head.npz"))

    np.testing.assert_array_equal(run(saved, case)["vertices"], run(make_head(), case)["vertices"])
