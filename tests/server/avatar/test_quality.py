# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM against scikit-image's, and what a distance of embeddings must be."""

import math

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import binary_erosion
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mien_server.avatar.quality import SAME_PERSON_DIFD, difd, psnr, ssim

PORTRAIT = skimage.data.astronaut()[20:180, 150:300]


def spoilt(seed, deviation=12.0):
    noise = np.random.default_rng(seed).normal(0, deviation, PORTRAIT.shape)
    return (0.9 * PORTRAIT + 10 + noise).clip(0, 255).astype(np.uint8)


def disc(radius):
    rows, columns = np.indices(PORTRAIT.shape[:2])
    return np.hypot(rows - 80, columns - 75) < radius


@pytest.mark.parametrize("seed", range(3))
def test_psnr_is_that_of_scikit_image(seed):
    image = spoilt(seed)

    assert psnr(image, PORTRAIT) == pytest.approx(peak_signal_noise_ratio(PORTRAIT, image))


@pytest.mark.parametrize("seed", range(3))
def test_psnr_in_a_mask_is_that_of_its_pixels(seed):
    image, mask = spoilt(seed), disc(40)

    # Pixels in a row: scikit-image knows no masks.
    expected = peak_signal_noise_ratio(PORTRAIT[mask][None], image[mask][None])
    assert psnr(image, PORTRAIT, mask) == pytest.approx(expected)


def test_psnr_of_a_known_error_is_what_the_formula_gives():
    image = np.full((10, 10, 3), 100, np.uint8)

    assert psnr(image + np.uint8(5), image) == pytest.approx(10 * math.log10(255**2 / 25))


def skimage_ssim_map(image, reference):
    grey = (each @ np.array([0.299, 0.587, 0.114]) for each in (reference, image))
    return structural_similarity(
        *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        full=True,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_ssim_is_that_of_scikit_image(seed):
    image = spoilt(seed)

    assert ssim(image, PORTRAIT) == pytest.approx(skimage_ssim_map(image, PORTRAIT)[0], abs=1e-9)


@pytest.mark.parametrize("radius", [30, 60])
def test_ssim_in_a_mask_is_the_mean_over_windows_inside_it(radius):
    image, mask = spoilt(0), disc(radius)

    _, full = skimage_ssim_map(image, PORTRAIT)
    inside = binary_erosion(mask, np.ones((11, 11)))
    assert ssim(image, PORTRAIT, mask) == pytest.approx(full[inside].mean(), abs=1e-9)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_what_lies_outside_the_mask_changes_nothing(measure):
    image, mask = spoilt(0), disc(50)
    elsewhere = np.where(mask[..., None], image, 255 - image)

    assert measure(elsewhere, PORTRAIT, mask) == pytest.approx(measure(image, PORTRAIT, mask))
    assert measure(elsewhere, PORTRAIT) < measure(image, PORTRAIT) - 0.1


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_measures_are_symmetric_and_fall_with_the_noise(measure):
    little, much = spoilt(0, 5), spoilt(0, 40)

    assert measure(little, PORTRAIT) == pytest.approx(measure(PORTRAIT, little))
    assert measure(little, PORTRAIT) > measure(much, PORTRAIT)


def test_equal_images_have_no_noise_and_the_same_structure():
    assert psnr(PORTRAIT, PORTRAIT) == math.inf
    assert ssim(PORTRAIT, PORTRAIT) == pytest.approx(1)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_bytes_and_floats_are_the_same_picture(measure):
    image = spoilt(0)

    assert measure(image.astype(np.float32), PORTRAIT) == pytest.approx(measure(image, PORTRAIT))


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_pictures_of_two_sizes_are_refused(measure):
    with pytest.raises(ValueError, match=r"\(159, 150, 3\)"):
        measure(PORTRAIT[1:], PORTRAIT)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_a_mask_of_another_size_is_refused(measure):
    with pytest.raises(ValueError, match="mask has shape"):
        measure(PORTRAIT, PORTRAIT, disc(30)[1:])


@pytest.mark.parametrize(("measure", "radius"), [(psnr, 0), (ssim, 4)])
def test_a_mask_without_room_is_refused(measure, radius):
    with pytest.raises(ValueError, match="mask"):
        measure(PORTRAIT, PORTRAIT, disc(radius))


@pytest.mark.parametrize("seed", range(3))
def test_difd_follows_from_the_cosine(seed):
    one, two = np.random.default_rng(seed).normal(size=(2, 512))
    cosine = one @ two / np.sqrt((one @ one) * (two @ two))

    assert difd(one, two) == pytest.approx(math.sqrt(2 - 2 * cosine))
    assert difd(3 * one, 0.2 * two) == pytest.approx(difd(two, one))


def test_difd_is_zero_for_one_direction_and_two_for_opposite_ones():
    vector = np.array([0.0, 3.0, -4.0])

    assert difd(vector, 2 * vector) == pytest.approx(0, abs=1e-12)
    assert difd(vector, -vector) == pytest.approx(2)
    assert difd([1, 0], [0, 1]) == pytest.approx(math.sqrt(2))
    assert difd(vector, vector) < SAME_PERSON_DIFD < difd(vector, -vector)


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        ([1, 0], [1, 0, 0], r"\(3,\)"),
        ([[1, 0]], [[1, 0]], r"\(1, 2\)"),
        ([0, 0], [1, 0], "above 0"),
        ([np.nan, 0], [1, 0], "finite"),
    ],
)
def test_what_are_no_embeddings_is_refused(one, two, message):
    with pytest.raises(ValueError, match=message):
        difd(one, two)
