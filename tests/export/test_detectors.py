# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.testing import assert_allclose

from mien_export.contract import graph_mismatches, read_config
from mien_export.errors import CheckpointError, ConversionError, ParityError
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.parity import compare, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs.face_detector import SPEC

from .released_detectors import (
    STRIDES,
    YUNET_HEADS,
    decode_scrfd,
    decode_yunet,
    make_mixing_scrfd,
    make_scrfd,
    make_yunet,
)

ROOT = Path(__file__).parents[2]
CONTRACT = read_config(ROOT / "model_repository/face_detector/config.pbtxt")


def make_images(count: int) -> np.ndarray:
    """Letterboxed content: bright, not square, zeros elsewhere; different in every channel."""
    rng = np.random.default_rng(11)
    images = np.zeros((count, 3, 640, 640), np.float32)
    coarse = rng.uniform(0, 255, (count, 3, 15, 20))
    images[:, :, :480] = coarse.repeat(32, axis=2).repeat(32, axis=3)
    return images


def run_released(model: onnx.ModelProto, network_input: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": network_input})


def convert(model: onnx.ModelProto, network: str, folder: Path) -> Path:
    """Through the very path of a build; parity with the file is part of it."""
    released, path = folder / "released.onnx", folder / "model.onnx"
    onnx.save(model, released)
    first = SPEC.networks[network].write_onnx(
        CONTRACT, WeightsRequest(checkpoint=released), SPEC.tolerances["fp32"], path
    )
    first.parity.raise_if_failed(network)
    return path


def expected_yunet(model: onnx.ModelProto, image_rgb: np.ndarray) -> dict[str, np.ndarray]:
    names = [f"{kind}_{stride}" for kind in YUNET_HEADS for stride in STRIDES]
    bgr = np.ascontiguousarray(image_rgb[:, [2, 1, 0]])
    return decode_yunet(dict(zip(names, run_released(model, bgr), strict=True)))


def expected_scrfd(model: onnx.ModelProto, image_rgb: np.ndarray) -> dict[str, np.ndarray]:
    return decode_scrfd(run_released(model, (image_rgb - 127.5) / np.float32(128)))


@pytest.mark.parametrize(
    ("network", "model", "expected"),
    [
        pytest.param("yunet", make_yunet(), expected_yunet, id="yunet"),
        pytest.param("scrfd", make_scrfd("folded"), expected_scrfd, id="scrfd-folded"),
        pytest.param("scrfd", make_scrfd("batched"), expected_scrfd, id="scrfd-batched"),
        pytest.param(
            "scrfd", make_scrfd("folded", batch=1, px="?"), expected_scrfd, id="scrfd-dynamic"
        ),
    ],
)
def test_a_batch_of_images_is_decoded_as_each_alone_by_the_published_rules(
    network, model, expected, tmp_path
):
    path = convert(model, network, tmp_path)
    images = make_images(3)
    (batch,) = run_onnx(path, [{"image_rgb": images}])

    assert graph_mismatches(CONTRACT, onnx.load(path).graph) == []
    for i in range(3):
        wanted = expected(model, images[i : i + 1])
        for name, array in wanted.items():
            assert_allclose(batch[name][i], array, rtol=1e-4, atol=2e-3, err_msg=name)
    assert np.ptp(batch["scores"]) > 0.01  # the heads do see the image


def test_scrfd_has_two_candidates_per_location_in_row_order(tmp_path):
    (found,) = run_onnx(
        convert(make_scrfd("folded"), "scrfd", tmp_path), [{"image_rgb": make_images(2)}]
    )

    assert found["scores"].shape == (2, 2 * (80 * 80 + 40 * 40 + 20 * 20))
    assert found["landmarks"].shape[2:] == (5, 2)


def test_scrfd_without_landmarks_is_refused_by_saying_so(tmp_path):
    model = make_scrfd("folded", kinds=("score", "bbox"))

    with pytest.raises(ConversionError, match=r"6 outputs.*without landmarks"):
        convert(model, "scrfd", tmp_path)


@pytest.mark.parametrize(
    ("network", "model"),
    [("yunet", make_scrfd("batched")), ("scrfd", make_yunet())],
    ids=["scrfd-as-yunet", "yunet-as-scrfd"],
)
def test_a_file_of_the_other_family_is_refused_with_what_was_found(network, model, tmp_path):
    with pytest.raises(ConversionError, match=r"outputs: .*--network face_detector=NAME"):
        convert(model, network, tmp_path)


def test_a_file_of_another_size_is_refused(tmp_path):
    with pytest.raises(ConversionError, match=r"\[1, 3, 320, 320\].*640"):
        convert(make_yunet(px=320), "yunet", tmp_path)


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"no protobuf at all" * 10)

    with pytest.raises(CheckpointError, match="not a valid ONNX file"):
        SPEC.networks["yunet"].write_onnx(
            CONTRACT, WeightsRequest(checkpoint=path), {}, tmp_path / "model.onnx"
        )


def test_a_graph_that_mixes_the_images_of_a_batch_is_found_out(tmp_path):
    with pytest.raises(ParityError, match="does not compute what its source does"):
        convert(make_mixing_scrfd(), "scrfd", tmp_path)


def test_fp16_keeps_pixels_exact_enough(tmp_path):
    path, half = convert(make_scrfd("folded"), "scrfd", tmp_path), tmp_path / "half.onnx"
    convert_to_fp16(path, CONTRACT, half, fp32_node_prefix=SPEC.fp32_node_prefix)
    cases = [{"image_rgb": make_images(2)}]

    report = compare(run_onnx(path, cases), run_onnx(half, cases), SPEC.tolerances["fp16"])

    assert report, report.failures
    assert half.stat().st_size < path.stat().st_size
    assert report.outputs["boxes_xyxy"]["max_abs"] < 0.5
