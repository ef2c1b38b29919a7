# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
import torch
from torch import nn

from mien_export.networks.deca import DecaEncoder, DecaEncoderConfig
from mien_export.networks.iresnet import IResNetConfig
from mien_export.networks.mica import Mica, MicaConfig
from mien_export.texture_space import NUM_TEXTURE, SIDE_PX, TextureSpace
from mien_server.rendering.lighting import shading
from mien_server.rendering.normals import vertex_normals
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.recipes.deca_encoder import (
    CAMERA,
    DecaTask,
    StandardisedEncoder,
    make_task,
    network_states,
)
from mien_starter.recipes.mica_encoder import MicaTask
from mien_starter.shards import Photographs
from mien_starter.training.head_colours import HeadColours
from mien_starter.training.head_geometry import HeadDistance, full_codes, vertex_weights
from mien_starter.training.loop import train
from mien_starter.training.recipe import Recipe
from tests.export.small_heads import make_head
from tests.starter.fake_reader import make_space
from tests.starter.fake_world import FakeWorld

TINY = DecaEncoderConfig(block="basic", blocks=(1, 1, 1, 1), base_width=16, hidden=32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("deca-data")
    render(DatasetPlan("train", identities=6, shots=4, size_px=128), directory, FakeWorld)
    return directory


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_head_distance_is_the_root_mean_square_over_weighted_vertices():
    head, rng = make_head(), np.random.default_rng(0)
    difference = rng.normal(0, 1, (3, 300))
    weights = vertex_weights(head)

    found = HeadDistance(head.shapedirs[..., :300], weights)(
        torch.from_numpy(difference.astype(np.float32))
    )

    moved = np.einsum("vck,bk->bvc", head.shapedirs[..., :300].astype(float), difference) * 1000
    expected = np.sqrt(((moved**2).sum(axis=2) * weights).sum(axis=1))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_head_colours_are_those_of_the_renderer():
    head, space, rng = make_head(), make_space(), np.random.default_rng(1)
    texture, light, turn = rng.normal(0, 1, 50), rng.normal(0, 1, 27), np.array([0.2, -0.6, 0.1])
    colours = HeadColours(head, space)

    found = colours(*(torch.from_numpy(x[None].astype(np.float32)) for x in (texture, light, turn)))

    turned = head.v_template @ cv2.Rodrigues(turn)[0].T
    normals = vertex_normals(turned[None], head.f)[0]
    albedo = space.mean[0, 0] + space.basis[0, 0] @ texture
    expected = albedo * shading(normals, light) * (normals[:, 2:] > 0)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=2e-4)
    assert 0.2 < (expected != 0).mean() < 0.8


def test_head_colours_find_the_texel_of_a_vertex():
    head = make_head()
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    mean = np.stack([columns, 1 - rows, 0 * rows], axis=-1).astype(np.float32)  # u, v
    space = TextureSpace(mean, np.zeros((SIDE_PX, SIDE_PX, 3, NUM_TEXTURE), np.float32))

    u, v = HeadColours(head, space).get_buffer("mean")[:, :2].numpy().T

    corners = {}
    for vertices, texels in zip(head.f, head.ft, strict=True):
        for vertex, texel in zip(vertices, texels, strict=True):
            corners.setdefault(int(vertex), []).append(head.vt[texel])
    for vertex, found in enumerate(zip(u, v, strict=True)):
        assert np.abs(np.array(corners[vertex]) - found).max(axis=1).min() <= 1 / SIDE_PX


def test_full_codes_put_every_code_in_its_place():
    codes = torch.arange(236.0)[None]

    shape, expression, pose = full_codes(codes)

    assert shape[0, :100].tolist() == list(range(100))
    assert not shape[0, 100:].any()
    assert expression[0, :50].tolist() == list(range(150, 200))
    assert not expression[0, 50:].any()
    assert pose[0].tolist() == [200, 201, 202, 0, 0, 0, 203, 204, 205, 0, 0, 0, 0, 0, 0]


def test_the_weights_file_gives_the_codes_without_mean_and_deviation():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(0, 1, 236), rng.uniform(0.1, 2, 236)
    network = StandardisedEncoder(DecaEncoder(TINY), mean, deviation).eval()
    plain = DecaEncoder(TINY).eval()
    images = torch.rand(2, 3, 224, 224)

    plain.load_state_dict(network_states(network.state_dict())["deca_encoder"])

    with torch.no_grad():
        expected = network(images) * network.deviation + network.mean
        torch.testing.assert_close(plain(images), expected, rtol=1e-4, atol=1e-4)


def test_the_landmarks_of_the_true_codes_lie_where_the_crop_has_them(data):
    """The fake world's camera puts the head's origin onto the centre of the face."""
    task = DecaTask(
        Recipe(steps=1, batch=8, learning_rate=1e-3, seed=0),
        DecaEncoder(TINY),
        make_head(),
        make_space(),
        Photographs([data]),
    )

    batch = task.batch(0)

    s, tx, ty = batch["codes"][:, CAMERA].T
    centre = np.stack([s * tx, -s * ty], axis=1)  # of the origin, in -1..1 of the crop
    nose = batch["points"][:, 30]  # 0.1 faces below the centre
    width = np.linalg.norm(batch["points"][:, 16] - batch["points"][:, 0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(nose - centre, axis=1), 0.1 * width, rtol=1e-3)


def make_deca_task(data, **numbers):
    recipe = Recipe(**{"batch": 8, "learning_rate": 4e-3, "seed": 0, "log_every": 20, **numbers})
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.AvgPool2d(14), nn.Flatten(), nn.Linear(3 * 16 * 16, 64), nn.ReLU(), nn.Linear(64, 236)
    )
    return DecaTask(recipe, encoder, make_head(), make_space(), Photographs([data]))


def test_a_tiny_encoder_learns_a_batch_by_heart(data, tmp_path):
    task = make_deca_task(data, steps=300, warmup_steps=4, log_every=50, checkpoint_every=300)
    batch, rows = task.batch(0), []
    task.batch = lambda step: batch

    train(task, tmp_path, workers=0, on_progress=lambda _, text: rows.append(text))

    values = dict(zip(rows[-1].split()[2::2], map(float, rows[-1].split()[3::2]), strict=True))
    assert values["shape"] < 0.5  # of what the mean head is off; 200 of 300 cannot be reached
    assert max(values[name] for name in ("pose", "camera", "texture", "light")) < 0.1, values
    assert values["pixels"] < 0.1, values


def test_an_interrupted_encoder_ends_with_the_same_bits(data, tmp_path):
    whole = train(make_deca_task(data, steps=4), tmp_path / "whole", workers=0)
    train(make_deca_task(data, steps=4), tmp_path / "parts", workers=0, stop_at=2)
    parts = train(make_deca_task(data, steps=4), tmp_path / "parts", workers=0)

    assert all(torch.equal(value, parts.state[name]) for name, value in whole.state.items())


def test_mica_learns_shapes_from_embeddings_and_leaves_the_trunk_alone(tmp_path):
    rng = np.random.default_rng(0)
    trunk = IResNetConfig(blocks=(1, 1, 1, 1), widths=(8, 8, 8, 8), num_features=16)
    torch.manual_seed(0)
    network = Mica(MicaConfig(trunk=trunk, hidden=64, hidden_layers=2))
    embeddings = rng.normal(0, 0.25, (200, 16)).astype(np.float32)
    shapes = (embeddings @ rng.normal(0, 1, (16, 300))).astype(np.float32)
    before = {name: value.clone() for name, value in network.arcface.state_dict().items()}
    recipe = Recipe(steps=200, batch=50, learning_rate=5e-3, seed=0, log_every=50, warmup_steps=10)
    rows = []

    task = MicaTask(recipe, network, make_head(), embeddings, shapes)
    average = train(task, tmp_path, workers=0, on_progress=lambda _, text: rows.append(text))

    assert float(rows[-1].split("loss ")[1].split()[0]) < 0.5
    assert set(average.state) == set(network.state_dict())
    for name, value in before.items():
        assert torch.equal(average.state[f"arcface.{name}"], value), name


def test_held_out_people_cannot_be_trained_on(tmp_path):
    render(DatasetPlan("held_out", identities=2, shots=2, size_px=64), tmp_path, FakeWorld)

    with pytest.raises(StarterError, match="held_out; expected train"):
        make_task(Recipe(steps=1, batch=1, learning_rate=1, seed=0), [tmp_path], tmp_path)
