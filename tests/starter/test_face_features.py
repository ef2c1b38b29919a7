# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from mien_export.networks.style_sampler import StyleSampler
from mien_export.style_distribution import read_style_distribution
from mien_starter.dataset import DatasetPlan, render
from mien_starter.errors import StarterError
from mien_starter.face_features import FaceFeatures
from mien_starter.feature_writing import write_features
from mien_starter.shards import Photographs
from mien_starter.style_maps import bytes_from_maps, maps_from_bytes
from mien_starter.style_statistics import style_statistics, write_report, write_statistics
from tests.starter.fake_reader import DIGESTS, encode, fit, make_reader
from tests.starter.fake_world import FakeWorld

SHARD = 5


@pytest.fixture(scope="module")
def reader():
    return make_reader()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("feature-data")
    render(DatasetPlan("train", identities=4, shots=3, size_px=96), directory, FakeWorld)
    return Photographs([directory])


def write(photographs, reader, directory, *, encode=encode, sha256="e", **options):
    return write_features(
        photographs, encode, sha256, reader, directory, **{"shard_photographs": SHARD, **options}
    )


@pytest.fixture(scope="module")
def written(photographs, reader, tmp_path_factory):
    directory = tmp_path_factory.mktemp("features")
    write(photographs, reader, directory)
    return directory


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name[0] != "."}


def test_every_photograph_has_its_own_features(photographs, reader, written):
    features = FaceFeatures([written])

    assert len(features) == len(photographs) == 12
    assert features.split == "train"
    np.testing.assert_array_equal(features.identity, photographs.labels["identity"])
    for index in (0, 4, 5, 11):
        faces = reader.read(photographs, [index])
        np.testing.assert_array_equal(features.codes[index], faces.codes[0])
        np.testing.assert_array_equal(features.embeddings[index], faces.embeddings[0])
        np.testing.assert_array_equal(features.latent(index), encode(faces.crops)[0][0])
        maps = reader.maps.of(faces.codes)[0]
        assert np.abs(maps_from_bytes(features.maps(index)) - maps)[:3].max() <= 0.5 / 127 + 1e-6


def test_a_killed_run_is_finished_to_the_same_bytes(photographs, reader, written, tmp_path):
    class Killed(Exception):
        pass

    calls = []

    def dying(crops):
        calls.append(len(crops))
        if len(calls) == 2:
            raise Killed
        return encode(crops)

    with pytest.raises(Killed):
        write(photographs, reader, tmp_path, encode=dying)
    done_before = set(content(tmp_path))
    with pytest.raises(StarterError, match="not finished"):
        FaceFeatures([tmp_path])
    write(photographs, reader, tmp_path)

    first = {f"{kind}-00000" for kind in ("latents", "maps", "faces")}
    assert {name.split(".")[0] for name in done_before} == {"features", *first}
    assert content(tmp_path) == content(written)


@pytest.mark.parametrize("changed", ["encoder", "reader", "photographs"])
def test_features_by_other_networks_or_of_other_photographs_are_not_mixed_in(
    changed, photographs, reader, written
):
    before = content(written)
    if changed == "reader":
        reader = make_reader({**DIGESTS, "deca_encoder": "another"})
    sha256 = "another" if changed == "encoder" else "e"
    if changed == "photographs":
        photographs.labels["shot"][3] += 100

    try:
        with pytest.raises(StarterError, match="other photographs or by other networks"):
            write(photographs, reader, written, sha256=sha256)
    finally:
        photographs.labels["shot"][3] %= 100
    assert content(written) == before


@pytest.mark.parametrize("changed", ["encoder", *DIGESTS])
def test_what_the_same_networks_made_is_taken_over(changed, photographs, reader, written, tmp_path):
    """As if computed anew, and nothing is computed that is known."""

    def turned(predict):
        return lambda crops: (predict(crops)[0][:, ::-1] * np.float32(0.5),)

    def unasked(_):
        raise AssertionError("a network was asked for what is known")

    digests = {**DIGESTS, changed: "another"} if changed in DIGESTS else DIGESTS
    is_changed = {name: changed == name for name in ("face_recognizer", "deca_encoder")}
    sha256, latents = ("another", turned(encode)) if changed == "encoder" else ("e", encode)
    now = dataclasses.replace(
        reader,
        digests=digests,
        recognize=turned(reader.recognize) if is_changed["face_recognizer"] else reader.recognize,
        fit=turned(reader.fit) if is_changed["deca_encoder"] else reader.fit,
    )
    write(photographs, now, tmp_path / "anew", encode=latents, sha256=sha256)
    asked = dataclasses.replace(
        now,
        recognize=now.recognize if is_changed["face_recognizer"] else unasked,
        fit=now.fit if is_changed["deca_encoder"] else unasked,
    )

    write(
        photographs, asked, tmp_path / "taken", known=written, sha256=sha256,
        encode=latents if changed == "encoder" else unasked,
    )  # fmt: skip

    assert content(tmp_path / "taken") == content(tmp_path / "anew")


def test_features_of_other_photographs_are_not_taken_over(photographs, reader, written, tmp_path):
    render(DatasetPlan("train", identities=4, shots=2, size_px=96), tmp_path / "data", FakeWorld)
    fewer = Photographs([tmp_path / "data"])

    with pytest.raises(StarterError, match="features of other photographs"):
        write(fewer, reader, tmp_path / "to", known=written)
    with pytest.raises(StarterError, match="features of other photographs"):
        write(photographs, reader, tmp_path / "to", known=written, shard_photographs=3)
    with pytest.raises(StarterError, match="holds no features"):
        write(photographs, reader, tmp_path / "to", known=tmp_path)
    assert not (tmp_path / "to").exists()


def test_folders_of_one_kind_are_joined_and_of_two_kinds_are_not(
    photographs, reader, written, tmp_path
):
    write(photographs, reader, tmp_path, sha256="another")

    assert len(FaceFeatures([written, written])) == 24
    assert FaceFeatures([written]).digest != FaceFeatures([written, written]).digest
    with pytest.raises(StarterError, match="other networks"):
        FaceFeatures([written, tmp_path])


def test_a_folder_without_features_is_refused_with_the_cure(tmp_path):
    with pytest.raises(StarterError, match="mien_starter features"):
        FaceFeatures([tmp_path])


def test_photographs_of_two_splits_have_no_common_features(reader, tmp_path):
    for split in ("train", "held_out"):
        render(DatasetPlan(split, 1, 1, size_px=64), tmp_path / split, FakeWorld)
    both = Photographs([tmp_path / "train", tmp_path / "held_out"])

    with pytest.raises(StarterError, match="held_out and train"):
        write(both, reader, tmp_path / "to")


def test_light_and_texture_leave_the_normals_and_a_batch_is_its_faces(reader):
    codes = fit(np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3)))[0]
    codes[:, 209:] = 0
    codes[:, 209:212] = 3.5  # an even light
    relit = codes.copy()
    relit[:, 100:150], relit[:, 209:212] = 0, 1

    maps, other = reader.maps.of(codes), reader.maps.of(relit)

    covered = np.abs(maps[:, :3]).sum(axis=1) > 0
    assert 0.05 < covered.mean() < 0.9
    np.testing.assert_array_equal(maps[:, :3], other[:, :3])
    assert np.abs(maps - other)[:, 6:][:, :, covered[0]].max() > 0.1
    assert not maps.transpose(0, 2, 3, 1)[~covered].any()
    alone = np.concatenate([reader.maps.of(codes[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(maps, alone, atol=1e-5)


def test_bytes_keep_maps_to_half_a_step_and_nothing_stays_nothing():
    rng = np.random.default_rng(0)
    maps = rng.uniform(0, 1, (2, 9, 128, 128)).astype(np.float32)
    maps[:, :3] = maps[:, :3] * 2 - 1
    maps[:, 6:] *= 2

    back = maps_from_bytes(bytes_from_maps(maps))

    steps = np.repeat((1 / 127, 1 / 255, 1 / 127.5), 3)
    assert (np.abs(back - maps).max(axis=(0, 2, 3)) <= steps / 2 + 1e-6).all()
    assert not maps_from_bytes(bytes_from_maps(0 * maps)).any()
    glaring = maps_from_bytes(bytes_from_maps(maps + 5))[:, 6:]
    np.testing.assert_array_equal(glaring, 2)
    tensor = torch.from_numpy(bytes_from_maps(maps))
    np.testing.assert_allclose(maps_from_bytes(tensor).numpy(), back, rtol=1e-6)


def test_planted_styles_are_found_and_the_server_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.normal(0, 1, (4000, 236)) * np.linspace(0.1, 2, 236) + np.arange(236)
    codes[:, 7] = codes[:, 3] * 2 + 1  # perfectly correlated
    codes[:, 20] = 4.0  # never changes
    path = tmp_path / "style_distribution.npz"

    statistics = style_statistics(codes.astype(np.float32))
    write_statistics(statistics, path)
    write_report(statistics, 4000, "a test", path.with_suffix(".md"))

    read = read_style_distribution(path)
    np.testing.assert_allclose(read.mean, codes.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(read.factor @ read.factor.T, np.cov(codes.T, bias=True), atol=2e-4)
    np.testing.assert_array_equal(np.triu(read.factor, 1), 0)
    (codes_of_noise,) = StyleSampler(read)(torch.randn(1, 236))
    assert abs(float(codes_of_noise[20]) - 4.0) < 1e-5
    report = path.with_suffix(".md").read_text()
    assert all(f"| {part} |" in report for part in ("shape", "camera", "light"))


def test_too_few_photographs_for_a_distribution_are_refused():
    with pytest.raises(StarterError, match="features of more"):
        style_statistics(np.zeros((236, 236), np.float32))
