# SPDX-License-Identifier: Apache-2.0
"""The shipped head: its components, surface and layout, and how near anny's heads it comes."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from mien_export.head_model import read_head
from mien_export.networks.flame import Flame
from mien_server.rendering.rasterizer import rasterize
from mien_starter.head.assembly import assemble
from mien_starter.world.assets import WEIGHTS

PATH = WEIGHTS / "head.npz"
SHAPE, EXPRESSION = slice(0, 300), slice(300, 400)


@pytest.fixture(scope="module")
def flame():
    return Flame(read_head(PATH)).eval()


@pytest.fixture(scope="module")
def assembly(anny_source):
    few = anny_source.sample(60, np.random.default_rng(7))
    return assemble(anny_source, few.vertices.mean(axis=0))


@pytest.fixture(scope="module")
def of_anny(head_file):
    """Vertices that are anny's own; eyeballs and teeth are ours."""
    ours = np.char.startswith(head_file["island"], "eye_") | np.char.startswith(
        head_file["island"], "teeth_"
    )
    return np.unique(head_file["f"][~ours])


def decode(flame, pose=None, expression=None):
    def row(values, size):
        full = torch.zeros(1, size)
        if values is not None:
            full[0] = torch.as_tensor(np.asarray(values), dtype=torch.float32)
        return full

    with torch.no_grad():
        vertices, _, landmarks = flame(row(None, 300), row(expression, 100), row(pose, 15))
    return vertices[0].numpy(), landmarks[0].numpy()


def lengths_and_angles(components, norm):
    """Root mean square lengths (K,), and the largest cosine between two components."""
    flat = (components.astype(np.float64) * np.sqrt(norm)[:, None, None]).reshape(
        -1, components.shape[2]
    )
    gram = flat.T @ flat
    lengths = np.sqrt(np.diag(gram))
    cosines = gram / np.outer(lengths, lengths)
    return lengths, np.abs(cosines - np.eye(len(gram))).max()


def test_five_joints_hang_on_each_other_as_in_flame(head_file):
    np.testing.assert_array_equal(head_file["kintree_table"], [[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]])


@pytest.mark.parametrize("name", ["weights", "J_regressor"])
def test_rows_of_weights_are_convex(head_file, name):
    assert head_file[name].min() >= 0
    np.testing.assert_allclose(head_file[name].sum(axis=1), 1, atol=1e-6)


def test_weights_of_the_norm_sum_to_one_and_none_is_zero(head_file):
    assert head_file["norm"].min() > 0
    assert head_file["norm"].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("part", "std"), [(SHAPE, "shape_std"), (EXPRESSION, "expression_std")], ids=["shape", "face"]
)
def test_components_are_orthogonal_as_long_as_stated_and_ever_shorter(head_file, part, std):
    stated = head_file[std]
    used = stated > 0
    components = head_file["shapedirs"][..., part]

    lengths, cosine = lengths_and_angles(components[..., used], head_file["norm"])

    assert (np.diff(stated) <= 0).all()
    # Half precision rounds the last ones, a few micrometres long, by a few per cent.
    np.testing.assert_allclose(lengths, stated[used], rtol=0.02)
    assert cosine < 0.03
    assert lengths_and_angles(components[..., :50], head_file["norm"])[1] < 0.003
    assert used.sum() >= 50
    assert not components[..., ~used].any()


def test_no_edge_is_passed_twice_in_one_direction(head_file):
    f = head_file["f"]
    directed = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])

    assert len(np.unique(directed, axis=0)) == len(directed)


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_triangles_turn_their_outer_side_outwards(head_file, turn_deg):
    a = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    seen = (head_file["v_template"] @ turn.T * (6, -6, -6))[None]

    everything, outside = (
        rasterize(seen, head_file["f"], height=256, width=256, cull_backfaces=cull)
        for cull in (False, True)
    )

    # From behind one looks into the neck, which is open below.
    above_neck = np.s_[0, :170]
    assert everything.mask[above_neck].mean() > 0.2
    same = everything.triangle[above_neck] == outside.triangle[above_neck]
    assert same.mean() > 0.998


def test_the_template_is_its_own_mirror_image(head_file):
    template = head_file["v_template"]
    off, _ = cKDTree(template).query(template * (-1, 1, 1))

    assert off.mean() < 0.0002
    assert off.max() < 0.002


def test_the_template_is_as_large_as_a_head_and_looks_to_z(head_file):
    width, height, depth = np.ptp(head_file["v_template"], axis=0)
    nose = head_file["v_template"][head_file["v_template"][:, 2].argmax()]

    assert 0.14 < width < 0.21
    assert 0.20 < height < 0.33
    assert 0.17 < depth < 0.26
    assert abs(nose[0]) < 0.002
    assert -0.04 < nose[1] < 0.0


def test_every_action_moves_the_face_as_it_does_in_anny(head_file, anny_source, assembly, of_anny):
    names = list(head_file["action_names"])
    truth = assembly.displacements(anny_source.action_displacements)[:, of_anny]
    basis = head_file["shapedirs"][of_anny, :, EXPRESSION].astype(np.float64)

    ours = np.moveaxis(basis @ head_file["expression_from_actions"], 2, 0)

    assert tuple(names) == anny_source.action_names
    for name, expected, got in zip(names, truth, ours, strict=True):
        if name == "jawOpen":
            assert not got.any()
            continue
        assert np.linalg.norm(got - expected, axis=1).max() < 0.0001, name
        assert np.linalg.norm(expected, axis=1).max() > 0.0009, name


def test_the_jaw_opens_by_its_joint_as_it_does_in_anny(
    head_file, flame, anny_source, assembly, of_anny
):
    jaw = list(head_file["action_names"]).index("jawOpen")
    truth = assembly.displacements(anny_source.action_displacements)[jaw, of_anny]
    tongue = np.unique(head_file["f"][head_file["island"] == "tongue"])
    soft = ~np.isin(of_anny, tongue)

    opened, _ = decode(flame, pose=head_file["pose_from_actions"][:, jaw])
    off = np.linalg.norm(opened[of_anny] - head_file["v_template"][of_anny] - truth, axis=1)

    assert np.linalg.norm(truth, axis=1).max() > 0.02
    assert off[soft].mean() < 0.0002
    assert off[soft].max() < 0.006


def test_no_action_is_no_change(head_file, flame):
    still = np.zeros(len(head_file["action_names"]))

    vertices, _ = decode(
        flame,
        pose=head_file["pose_from_actions"] @ still,
        expression=head_file["expression_from_actions"] @ still,
    )

    np.testing.assert_allclose(vertices, head_file["v_template"], atol=1e-6)


def test_no_two_triangles_of_the_uv_layout_cover_one_texel(head_file):
    side = 512
    corners = head_file["vt"][head_file["ft"]] * side - 0.5
    covered = np.zeros((side, side), int)
    for a, b, c in corners:
        low = np.ceil(np.minimum(np.minimum(a, b), c)).astype(int)
        high = np.floor(np.maximum(np.maximum(a, b), c)).astype(int)
        x, y = np.meshgrid(*(np.arange(lo, hi + 1) for lo, hi in zip(low, high, strict=True)))
        turns = [
            (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        inside = np.all([t > 1e-6 for t in turns], axis=0) | np.all(
            [t < -1e-6 for t in turns], axis=0
        )
        covered[y[inside], x[inside]] += 1

    assert head_file["vt"].min() >= 0
    assert head_file["vt"].max() <= 1
    assert (covered > 0).mean() > 0.5
    assert (covered > 1).sum() <= 1e-4 * (covered > 0).sum()


def test_a_hundred_components_say_unseen_people_to_three_tenths_of_a_millimetre(
    head_file, anny_source, assembly, of_anny
):
    unseen = anny_source.sample(60, np.random.default_rng(12_345))
    heads = assembly.heads(unseen.vertices)[:, of_anny].astype(np.float64)
    template = head_file["v_template"][of_anny].astype(np.float64)
    # Both were laid onto each other by these vertices; only where the origin is may differ.
    settled = (assembly.from_source[of_anny] @ assembly.settled) > 0.5
    heads += template[settled].mean(axis=0) - heads[:, settled].mean(axis=1, keepdims=True)
    root = np.sqrt(head_file["norm"][of_anny])[:, None]
    basis = head_file["shapedirs"][of_anny, :, :100].astype(np.float64)

    codes, *_ = np.linalg.lstsq(
        (basis * root[..., None]).reshape(-1, 100),
        ((heads - template) * root).reshape(60, -1).T,
        rcond=None,
    )
    off = np.linalg.norm(np.moveaxis(basis @ codes, 2, 0) + template - heads, axis=2)

    assert np.linalg.norm(template - heads, axis=2).mean() > 0.0015
    assert off.mean() < 0.0003
    # The coefficients have unit variance, as FLAME's have.
    assert 0.8 < codes[:30].std() < 1.2


def test_origin_and_licence_are_recorded(head_file):
    assert "anny" in str(head_file["origin"])
    assert "CC0" in str(head_file["origin"])
    assert str(head_file["licence"]) == "Apache-2.0"
