# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from PIL import Image

from mien_export.networks.denoiser import Denoiser, DenoiserConfig
from mien_export.networks.style_encoder import StyleEncoder, StyleEncoderConfig
from mien_server.diffusion.schedule import linear_schedule
from mien_starter import cli
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.evaluation.denoisers import KnownFaces, known_faces, measure_denoiser
from mien_starter.face_features import FaceFeatures
from mien_starter.feature_writing import write_features
from mien_starter.generated_faces import generated
from mien_starter.generated_sheets import faces_sheet, reconstructions_sheet, write_picture
from mien_starter.recipes.face_denoiser import (
    DenoiserTask,
    Generator,
    kept_contexts,
    network_states,
)
from mien_starter.shards import Photographs
from mien_starter.training.loop import train
from mien_starter.training.recipe import Recipe
from tests.starter.fake_reader import decode, encode, make_reader
from tests.starter.fake_world import FakeWorld

TINY = DenoiserConfig(
    channels=16,
    multipliers=(1, 1),
    attention=(False, True),
    blocks=1,
    head_channels=8,
    contexts="identity_style",
    tokens=2,
    context_channels=16,
    groups=4,
    head="velocity",
)
TINY_STYLE = StyleEncoderConfig(widths=(16, 16))
RECIPE = Recipe(
    steps=6, batch=4, learning_rate=3e-3, seed=5, warmup_steps=2, log_every=2, checkpoint_every=4
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reader():
    return make_reader()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, reader):
    """By split: features, photographs."""
    made = {}
    for split in ("train", "held_out"):
        directory = tmp_path_factory.mktemp(split)
        render(DatasetPlan(split, identities=5, shots=3, size_px=96), directory, FakeWorld)
        photographs = Photographs([directory])
        write_features(photographs, encode, "e", reader, directory / "features")
        made[split] = (directory / "features", photographs)
    return made


@pytest.fixture(scope="module")
def features(folders):
    return FaceFeatures([folders["train"][0]])


def task(features, recipe=RECIPE):
    torch.manual_seed(recipe.seed)
    return DenoiserTask(recipe, Generator(TINY, TINY_STYLE), features)


def oracle(latents, embeddings):
    """A denoiser that knows the latent of each identity, and says what noise is in z."""
    alpha_bar = linear_schedule().alpha_bar

    def denoise(z, t, identity, style, keep_identity, keep_style):
        x0 = latents[(identity @ embeddings.T).argmax(axis=1)]
        left = alpha_bar[t[:, 0].astype(int)][:, None, None, None]
        return (((z - np.sqrt(left) * x0) / np.sqrt(1 - left)).astype(np.float32),)

    return denoise


def test_contexts_are_dropped_as_often_as_stated():
    keep = kept_contexts(200_000, np.random.default_rng(0))

    both = 0.05 + 0.95 * 0.01
    dropped = 1 - keep
    np.testing.assert_allclose(dropped.mean(axis=0), 0.05 + 0.95 * 0.1, atol=0.003)
    assert dropped.prod(axis=1).mean() == pytest.approx(both, abs=0.002)
    assert keep.prod(axis=1).mean() == pytest.approx(0.95 * 0.81, abs=0.004)


def test_identities_are_of_the_same_person_and_half_of_them_of_another_photograph(features):
    made = task(features, Recipe(steps=300, batch=16, learning_rate=1e-3, seed=2))
    own, person = 0, []
    for step in range(30):
        batch = made.batch(step)
        rows = [np.flatnonzero((features.embeddings == e).all(axis=1)) for e in batch["identity"]]
        shown = [
            next(i for i in range(len(features)) if np.array_equal(features.latent(i), latent))
            for latent in batch["latents"]
        ]
        own += sum(i in row for i, row in zip(shown, rows, strict=True))
        person += [
            features.identity[i] in features.identity[row]
            for i, row in zip(shown, rows, strict=True)
        ]

    assert all(person)
    assert own / len(person) == pytest.approx(0.5, abs=0.08)


def test_a_batch_has_one_timestep_of_every_share_and_is_always_the_same(features):
    made = task(features, Recipe(steps=9, batch=8, learning_rate=1e-3, seed=2))

    first, again, other = made.batch(3), made.batch(3), made.batch(4)

    assert list(first["t"] // 125) == list(range(8))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["noise"], other["noise"])


def test_an_interrupted_run_ends_with_the_same_bits(features, tmp_path):
    whole = train(task(features), tmp_path / "whole", workers=0)
    train(task(features), tmp_path / "parts", workers=0, stop_at=3)

    last = train(task(features), tmp_path / "parts", workers=0)

    assert all(torch.equal(value, last.state[name]) for name, value in whole.state.items())


def test_a_tiny_denoiser_finds_more_noise_than_none(features, tmp_path):
    recipe = Recipe(
        steps=60, batch=8, learning_rate=5e-3, seed=1, warmup_steps=5, log_every=10, ema_decay=0.9
    )
    made, rows = task(features, recipe), []

    average = train(made, tmp_path, workers=0, on_progress=lambda _, text: rows.append(text))

    def of(name, text):
        return float(text.split(f"{name} ")[1].split()[0])

    assert of("loss", rows[-1]) < 0.8  # who knows nothing is wrong by 1
    quarters = [of(f"quarter_{i}", rows[-1]) for i in (1, 2, 3, 4)]
    assert np.mean(quarters) == pytest.approx(of("loss", rows[-1]), rel=0.01)
    states = network_states(average.state)
    Denoiser(TINY).load_state_dict(states["face_denoiser"])
    StyleEncoder(TINY_STYLE).load_state_dict(states["style_encoder"])


def test_training_on_held_out_people_is_refused(folders):
    with pytest.raises(StarterError, match="expected train"):
        task(FaceFeatures([folders["held_out"][0]]))


def test_an_oracle_is_sampled_to_its_latents_alone_and_in_company():
    rng = np.random.default_rng(0)
    latents = rng.uniform(-1, 1, (3, 3, 32, 32)).astype(np.float32)
    embeddings = np.eye(3, 512, dtype=np.float32)
    predict = {"face_denoiser": oracle(latents, embeddings), "latent_decoder": decode}

    faces = generated(predict, embeddings, np.zeros((3, 512), np.float32), [5, 6, 7])
    alone = generated(predict, embeddings[1:2], np.zeros((1, 512), np.float32), [6])

    wanted = np.round(decode(latents)[0].transpose(0, 2, 3, 1))
    assert np.abs(faces.astype(int) - wanted).max() <= 1
    np.testing.assert_array_equal(alone[0], faces[1])


def known(folders, reader):
    """Held-out people, one photograph each: an oracle can then know everything."""
    faces = known_faces(folders["held_out"][1], encode, reader)
    first = np.unique(faces.identity, return_index=True)[1]
    return KnownFaces(*(getattr(faces, name)[first] for name in faces.__dataclass_fields__))


def test_figures_of_an_oracle_are_perfect_and_of_nothing_trivial(folders, reader):
    faces = known(folders, reader)

    def style(maps):
        return (np.zeros((len(maps), 512), np.float32),)

    def nothing(z, *_):
        return (np.zeros_like(z),)

    best, worst = (
        measure_denoiser({"face_denoiser": denoise, "style_encoder": style}, decode, reader, faces)
        for denoise in (oracle(faces.latents, faces.embeddings), nothing)
    )

    assert best["eps_mse_mean"] < 1e-6
    assert worst["eps_mse_mean"] == pytest.approx(1, abs=0.02)
    assert worst["eps_mse_without_contexts_mean"] == pytest.approx(1, abs=0.02)
    assert best["nearest_is_own"] == 1
    assert best["cosine_own_mean"] > 0.97 > best["cosine_others_mean"]


def test_figures_of_one_person_are_refused(folders, reader):
    faces = known(folders, reader)
    alone = KnownFaces(*(getattr(faces, name)[:1] for name in faces.__dataclass_fields__))

    with pytest.raises(StarterError, match="of one person"):
        measure_denoiser({}, decode, reader, alone)


def test_sheets_show_people_in_rows_and_are_the_same_every_time(folders, reader, tmp_path):
    _, photographs = folders["held_out"]
    faces = known(folders, reader)
    predict = {
        "face_denoiser": oracle(faces.latents, faces.embeddings),
        "style_encoder": lambda maps: (np.zeros((len(maps), 512), np.float32),),
        "latent_encoder": encode,
        "latent_decoder": decode,
    }

    sheet = faces_sheet(predict, reader, photographs, rows=2, columns=3)
    pairs = reconstructions_sheet(predict, photographs, rows=1, columns=4)
    write_picture(sheet, tmp_path / "new" / "sheet.png")

    assert sheet.shape == (3 * 128, 4 * 128, 3)
    assert pairs.shape == (2 * 128, 4 * 128, 3)
    cells = sheet.reshape(3, 128, 4, 128, 3).swapaxes(1, 2).astype(int)
    assert (cells[0, 0] == 255).all()
    # This oracle makes the person's photograph, whatever the style.
    off = np.abs(cells[1:, 1:] - cells[1:, :1]).mean(axis=(2, 3, 4))
    assert off.max() < 12
    assert np.abs(cells[1, 0] - cells[2, 0]).mean() > 12
    again = faces_sheet(predict, reader, photographs, rows=2, columns=3)
    np.testing.assert_array_equal(again, sheet)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "sheet.png")), sheet)
    with pytest.raises(StarterError, match="5 people and 8 are needed"):
        faces_sheet(predict, reader, photographs, rows=5, columns=3)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["generated", "--data", "x", "--to", "x.gif"], ".png"),
        (["generated", "--data", "x", "--to", "x.png", "--rows", "0"], "at least 1"),
        (["features", "--data", "x", "--to", "x", "--threads", "0"], "at least 1"),
    ],
    ids=["ending", "no row", "no thread"],
)
def test_impossible_requests_end_with_exit_status_2(argv, reason, capsys):
    assert cli.main(argv) == 2
    assert reason in capsys.readouterr().err
