# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mien_export.errors import CheckpointError
from mien_export.networks.texture import Texture
from mien_export.texture_space import TextureSpace, read_texture_space

from .small_heads import ROOT, save_albedo

REAL_ALBEDO = ROOT / "starter/weights/albedo.npz"


def image(seed, side=256, components=None) -> np.ndarray:
    shape = (side, side, 3) if components is None else (side, side, 3, components)
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def test_our_file_is_read_as_it_is(tmp_path):
    path = save_albedo(tmp_path / "albedo.npz", origin="painted", licence="Apache-2.0")
    stored, space = np.load(path), read_texture_space(path)

    np.testing.assert_array_equal(space.mean, stored["mean"].astype(np.float32))
    np.testing.assert_array_equal(space.basis, stored["tex_dir"].astype(np.float32))
    assert (space.origin, space.licence) == ("painted", "Apache-2.0")


def test_flames_file_is_bgr_of_255_and_subsampled(tmp_path):
    mean, basis = image(0, 512) * 255, image(1, 512, 52) - 0.5
    np.savez(tmp_path / "FLAME_texture.npz", mean=mean, tex_dir=basis * 255, vt=0, ft=0)
    space = read_texture_space(tmp_path / "FLAME_texture.npz")

    np.testing.assert_allclose(space.mean, mean[::2, ::2, ::-1] / 255, rtol=1e-6)
    np.testing.assert_allclose(space.basis, basis[::2, ::2, ::-1, :50], rtol=1e-5, atol=1e-7)


def test_bfms_file_is_flat_bgr_of_one_and_subsampled(tmp_path):
    mean, basis = image(0, 512), image(1, 512, 50) - 0.5
    np.savez(tmp_path / "bfm.npz", MU=mean.reshape(-1), PC=basis.reshape(-1, 50))
    space = read_texture_space(tmp_path / "bfm.npz")

    np.testing.assert_array_equal(space.mean, mean[::2, ::2, ::-1])
    np.testing.assert_array_equal(space.basis, basis[::2, ::2, ::-1])


def test_subsampling_is_torchs_nearest_resize(tmp_path):
    mean = image(0, 512)
    np.savez(tmp_path / "t.npz", mean=mean * 255, tex_dir=np.zeros((512, 512, 3, 50), np.float16))
    pixels = torch.from_numpy(mean[..., ::-1].transpose(2, 0, 1)[None].copy())
    resized = torch.nn.functional.interpolate(pixels, [256, 256])[0].permute(1, 2, 0).numpy()

    np.testing.assert_allclose(read_texture_space(tmp_path / "t.npz").mean, resized, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tex_dir": image(1, 256, 49)}, "has 49 components; expected at least 50"),
        ({"mean": image(0, 300), "tex_dir": np.zeros((300, 300, 3, 50))}, "300 pixels wide"),
        ({"mean": image(0, 128), "tex_dir": np.zeros((128, 128, 3, 50))}, "128 pixels wide"),
        ({"mean": image(0)[..., :2]}, r"mean has shape \(256, 256, 2\)"),
        ({"tex_dir": image(1, 512, 50)}, r"components \(512, 512, 3, 50\); expected \(S, S, 3\)"),
        ({"mean": None}, "it has channel_order, scale, tex_dir. Expected mean and tex_dir"),
        ({"mean": np.full((256, 256, 3), np.nan)}, "mean has NaN"),
        ({"channel_order": "hsv"}, "channel_order 'hsv'; expected .* rgb or bgr"),
        ({"scale": 0.0}, "scale is 0"),
    ],
)
def test_a_file_that_is_no_albedo_space_is_refused(tmp_path, changes, message):
    path = save_albedo(tmp_path / "albedo.npz", **changes)

    with pytest.raises(CheckpointError, match=f"albedo.npz: .*{message}"):
        read_texture_space(path)


def test_flat_components_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "bfm.npz", MU=np.zeros(256 * 256 * 3), PC=np.zeros((30, 50)))

    with pytest.raises(CheckpointError, match=r"PC \(30, 50\); expected S \* S \* 3 values"):
        read_texture_space(tmp_path / "bfm.npz")


def test_a_space_of_another_size_cannot_be_made():
    with pytest.raises(CheckpointError, match="basis has shape"):
        TextureSpace(image(0), image(1, 256, 49))


def albedo(space, texture) -> np.ndarray:
    with torch.inference_mode():
        return Texture(space)(torch.from_numpy(texture.astype(np.float32))).numpy()


def spaces(tmp_path: Path) -> list[TextureSpace]:
    files = [save_albedo(tmp_path / "albedo.npz")]
    files += [REAL_ALBEDO] if REAL_ALBEDO.is_file() else []
    return [read_texture_space(file) for file in files]


def test_the_map_is_mean_plus_components_clamped(tmp_path):
    texture = np.random.default_rng(0).normal(size=(3, 50))
    for space in spaces(tmp_path):
        flat = space.basis.astype(np.float64) @ texture.T + space.mean[..., None]
        wanted = np.clip(flat, 0, 1).transpose(3, 2, 0, 1)

        found = albedo(space, texture)
        assert found.shape == (3, 3, 256, 256)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_zero_coefficients_give_the_mean_with_the_top_row_first(tmp_path):
    for space in spaces(tmp_path):
        found = albedo(space, np.zeros((1, 50)))[0]

        np.testing.assert_allclose(found[:, 0], np.clip(space.mean[0], 0, 1).T, atol=1e-7)


def test_extreme_coefficients_stay_colours(tmp_path):
    space = read_texture_space(save_albedo(tmp_path / "albedo.npz"))
    loud = dataclasses.replace(space, basis=space.basis * 1000)
    found = albedo(loud, np.random.default_rng(0).normal(size=(2, 50)))

    assert (found.min(), found.max()) == (0, 1)
