# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import nn

from mien_export.networks.autoencoder import AutoencoderConfig, LatentDecoder, LatentEncoder
from mien_export.networks.iresnet import IResNet, IResNetConfig
from mien_export.starter_weights import STARTER_FILE
from mien_server.alignment import template
from mien_starter.crops import RECOGNIZER_COLUMNS, RECOGNIZER_ROWS, aligned_crop, generator_crop
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.evaluation.autoencoders import measure_autoencoder
from mien_starter.evaluation.pictures import peak_signal_to_noise_db, structural_similarity
from mien_starter.recipes import NAMES, autoencoder, network_of, recipe_module, recipe_of
from mien_starter.recipes.autoencoder import PATCH_PX, AutoencoderTask, network_states
from mien_starter.shards import Photographs
from mien_starter.shipped import shipped
from mien_starter.training.loop import train
from mien_starter.training.perceptual import PerceptualDistance
from mien_starter.training.recipe import Recipe
from mien_starter.training.wide_convolutions import with_wide_convolutions
from tests.starter.fake_world import FakeWorld

TINY = AutoencoderConfig(channels=16, multipliers=(1, 1, 1), blocks=1, groups=4, codes=0)
TINY_IRESNET = IResNetConfig(blocks=(1, 1, 1, 1), widths=(16, 16, 16, 16), num_features=16)
RECIPE = Recipe(
    steps=6, batch=4, learning_rate=3e-3, seed=5, warmup_steps=2, log_every=3, checkpoint_every=4
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("autoencoder-data")
    render(DatasetPlan("train", identities=6, shots=4, size_px=160), directory, FakeWorld)
    return Photographs([directory])


def trunk():
    torch.manual_seed(1)
    return IResNet(TINY_IRESNET).eval()


def task(photographs, recipe=RECIPE):
    recognizer = trunk()
    torch.manual_seed(recipe.seed)
    return AutoencoderTask(recipe, TINY, recognizer, "a trunk", photographs)


def halves(states):
    encoder, decoder = LatentEncoder(TINY), LatentDecoder(TINY)
    encoder.load_state_dict(states["latent_encoder"])
    decoder.load_state_dict(states["latent_decoder"])
    return encoder.eval(), decoder.eval()


def test_every_graph_that_is_trained_has_a_recipe_and_a_network():
    graphs = {graph: name for name in NAMES for graph in recipe_module(name).GRAPHS}

    assert {graph: recipe_of(graph) for graph in graphs} == graphs
    assert recipe_of("latent_decoder") == "autoencoder"
    assert network_of("latent_decoder") == "kl_f4_narrow"


def test_the_recognisers_crop_is_a_part_of_the_generators(photographs):
    moved = template(128) - template(112)
    off = []
    for index in range(8):
        image, points = photographs.image_rgb(index), photographs.labels["landmarks"][index]
        part = generator_crop(image, points)[RECOGNIZER_ROWS, RECOGNIZER_COLUMNS]
        off.append(np.abs(part.astype(int) - aligned_crop(image, points)))

    np.testing.assert_allclose(moved, np.tile((8.0, 0.0), (5, 1)), atol=1e-12)
    # OpenCV rounds to 1/32 px, now and then to the other side.
    assert np.mean(off) < 0.05
    assert np.mean(np.array(off) > 2) < 0.01


def test_patches_come_first_and_whole_faces_last(photographs):
    made = task(photographs)

    shapes = [made.batch(step)["images"].shape for step in (0, 4, 5)]

    assert shapes == [*[(4, PATCH_PX, PATCH_PX, 3)] * 2, (1, 128, 128, 3)]
    np.testing.assert_array_equal(made.batch(3)["images"], made.batch(3)["images"])


def test_an_interrupted_run_ends_with_the_same_bits(photographs, tmp_path):
    whole = train(task(photographs), tmp_path / "whole", workers=0)
    train(task(photographs), tmp_path / "parts", workers=0, stop_at=5)

    last = train(task(photographs), tmp_path / "parts", workers=0)

    assert all(torch.equal(value, last.state[name]) for name, value in whole.state.items())


def test_a_tiny_autoencoder_learns_a_batch(photographs, monkeypatch):
    # These features know nothing, and there is no time to please them.
    monkeypatch.setattr(autoencoder, "PERCEPTUAL_WEIGHT", 0.0)
    made = task(photographs)
    batch = {name: torch.from_numpy(array) for name, array in made.batch(0).items()}
    optimizer = torch.optim.AdamW(made.trained.parameters(), lr=1e-2)
    pixels = []
    for step in range(25):
        losses = made.losses(batch, step)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        pixels.append(losses["pixels"].item())

    assert min(pixels[-3:]) < 0.6 * pixels[0]


def test_the_fold_leaves_pictures_alone_and_gives_unit_latents(photographs):
    torch.manual_seed(0)
    network = task(photographs).network
    for convolution in (network.encoder.quant_conv, network.decoder.post_quant_conv):
        nn.init.normal_(convolution.weight, 0, 2)
        nn.init.normal_(convolution.bias, 0, 3)
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        moments = network.encoder.moments(images)
        before = network.decoder(moments[:, :3])
    network.scale.take(moments[:, :3], 0)

    encoder, decoder = halves(network_states(network.state_dict()))
    with torch.no_grad():
        folded = encoder.moments(images)
        z = folded[:, :3]
        after = decoder(z)

    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std(dim=(0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-4)
    # The posterior's deviation is as large in units of the latent's as it was.
    deviation = moments[:, :3].std(dim=(0, 2, 3), correction=0)[None, :, None, None]
    torch.testing.assert_close(
        (0.5 * folded[:, 3:]).exp() * deviation, (0.5 * moments[:, 3:]).exp(), rtol=1e-3, atol=0
    )


def test_wide_convolutions_compute_what_narrow_ones_do_and_keep_their_names():
    torch.manual_seed(0)
    network, x = LatentDecoder(TINY), torch.randn(2, 3, 8, 8, requires_grad=True)
    names, before = list(network.state_dict()), network(x)
    (gradient,) = torch.autograd.grad(before.square().sum(), x)

    after = with_wide_convolutions(network)(x)

    assert list(network.state_dict()) == names
    assert type(network.decoder.conv_in) is not nn.Conv2d
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(torch.autograd.grad(after.square().sum(), x)[0], gradient)


def test_perceptual_distance_grows_with_blur_and_is_zero_for_equal_pictures(photographs):
    distance = PerceptualDistance(trunk())
    crops = np.stack([generator_crop(photographs.image_rgb(0), photographs.labels["landmarks"][0])])
    sharp = torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1
    blurred = [nn.functional.avg_pool2d(sharp, n, 1, n // 2) for n in (3, 7)]

    found = [float(distance(picture, sharp)) for picture in (sharp, *blurred)]

    assert found[0] < 1e-10
    assert found[0] < found[1] < found[2] < 4


def test_figures_are_those_of_what_was_planted(photographs):
    def decode(z):
        return (np.repeat(np.repeat(z, 4, axis=2), 4, axis=3) * 50 + 127.5,)

    def encode(crops):
        return (crops[:, ::4, ::4].transpose(0, 3, 1, 2).astype(np.float32) / 50 - 2.55,)

    def recognize(crops):
        flat = crops.reshape(len(crops), -1).astype(np.float32)
        return (flat / np.linalg.norm(flat, axis=1, keepdims=True),)

    figures = measure_autoencoder(
        {"latent_encoder": encode, "latent_decoder": decode}, recognize, photographs
    )

    assert 15 < figures["psnr_db_mean"] < 45
    assert 0.3 < figures["ssim_mean"] < 1
    assert 0.9 < figures["cosine_percentile_10"] <= figures["cosine_mean"] < 1
    assert figures["latent_deviation_smallest"] > 0


def test_psnr_and_ssim_of_known_differences():
    rng = np.random.default_rng(0)
    truth = rng.integers(20, 235, (2, 32, 32, 3)).astype(np.uint8)
    shifted = truth + np.uint8(10)

    np.testing.assert_allclose(
        peak_signal_to_noise_db(shifted, truth), 20 * np.log10(25.5), rtol=1e-6
    )
    np.testing.assert_allclose(structural_similarity(truth, truth), 1)
    assert structural_similarity(rng.permuted(truth, axis=1), truth).max() < 0.3


def test_a_network_that_is_not_shipped_is_refused_with_the_cure(tmp_path):
    (tmp_path / STARTER_FILE).write_text("{}")

    with pytest.raises(StarterError, match="train and export it"):
        shipped("face_recognizer", tmp_path)
