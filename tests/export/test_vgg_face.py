# SPDX-License-Identifier: Apache-2.0
"""VGG-Face: published sizes, what its layers give, its graph through the real export path."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from mien_export.contract import graph_mismatches, read_config
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.networks.vgg_face import VGG_FACE, VGG_FACE_MEAN_RGB, VGG_FACE_NARROW, VggFace
from mien_export.parity import compare, example_batch, example_cases, run_onnx
from mien_export.spec import WeightsRequest
from mien_export.specs.vggface_recognizer import SPEC
from mien_export.wrappers import VggFaceRecognizer

from .tiny import CONTRACTS
from .vgg_face_oracle import TINY_VGG, caffe_arrays, features_by_hand, photographs
from .weights import count_parameters

torch.set_num_threads(1)
CONTRACT = read_config(CONTRACTS / "vggface_recognizer/config.pbtxt")
SMALL = dataclasses.replace(CONTRACT, max_batch_size=2)
LARGEST_FP16 = 65504


def with_classes(config, num_classes):
    return dataclasses.replace(config, num_classes=num_classes)


def planted(arrays, config=TINY_VGG):
    """A network with these arrays as its weights."""
    network = VggFace(config).eval()
    with torch.no_grad():
        for name, pair in arrays.items():
            if name != "fc8" or config.num_classes:
                layer = network.get_submodule(name)
                for tensor, array in zip((layer.weight, layer.bias), pair, strict=True):
                    tensor.copy_(torch.from_numpy(array))
    return network


def minus_mean(images):
    return torch.from_numpy(images) - torch.tensor(VGG_FACE_MEAN_RGB)[:, None, None]


def test_parameter_counts_are_the_published_ones():
    assert count_parameters(VggFace, with_classes(VGG_FACE, 2_622)) == 145_002_878
    assert count_parameters(VggFace, VGG_FACE) == 134_260_544
    adapted = count_parameters(VggFace, with_classes(VGG_FACE, 10_575))
    assert adapted == 134_260_544 + 10_575 * 4_097


@pytest.mark.parametrize(
    ("config", "parameters", "giga"),
    [(VGG_FACE, 134_260_544, 15.47), (VGG_FACE_NARROW, 5_835_944, 0.25)],
    ids=["published", "narrow"],
)
def test_the_narrow_network_is_a_sixtieth_of_the_work(config, parameters, giga):
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter:
        network = VggFace(config)
        features = network(torch.empty(1, 3, 224, 224))

    assert sum(tensor.numel() for tensor in network.parameters()) == parameters
    assert counter.get_total_flops() / 2 / 1e9 == pytest.approx(giga, abs=0.01)
    assert [tuple(f.shape) for f in features] == [(1, n) for n in config.hidden for _ in range(2)]


def test_layers_have_the_names_of_the_release():
    with torch.device("meta"):
        names = {name.partition(".")[0] for name in VggFace(VGG_FACE).state_dict()}
    convolutions = {
        f"conv{i}_{j}" for i, n in enumerate((2, 2, 3, 3, 3), 1) for j in range(1, n + 1)
    }

    assert names == convolutions | {"fc6", "fc7"}
    assert "fc8.weight" in VggFace(with_classes(TINY_VGG, 5)).state_dict()


@pytest.mark.parametrize(
    "change", [{"image_px": 100}, {"image_px": 0}, {"num_classes": 0}], ids=str
)
def test_impossible_sizes_are_refused(change):
    with pytest.raises(ValueError, match="expected"):
        dataclasses.replace(TINY_VGG, **change)


def test_features_are_those_of_the_paper_by_hand():
    arrays, images = caffe_arrays(), photographs()

    with torch.inference_mode():
        found = planted(arrays)(minus_mean(images))
    wanted = features_by_hand(arrays, images, is_bgr=False, flattens_channels_last=False)

    for tensor, array in zip((found.fc6, found.fc7), wanted, strict=True):
        assert_allclose(tensor.numpy(), array, rtol=1e-4, atol=1e-3)
        assert 0 < (array > 0).mean() < 1, "some features must be cut off, some not"
    for before, behind in ((found.fc6_linear, found.fc6), (found.fc7_linear, found.fc7)):
        assert torch.equal(before.clamp_min(0), behind)
        assert (before < 0).any()


def test_logits_are_a_product_of_fc7_and_need_a_classifier():
    arrays = caffe_arrays()
    network = planted(arrays, with_classes(TINY_VGG, 5))
    with torch.inference_mode():
        features = network(minus_mean(photographs()))
        logits = network.logits(features)
    weight, bias = arrays["fc8"]

    assert_allclose(logits.numpy(), features.fc7.numpy() @ weight.T + bias, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="make it with num_classes"):
        VggFace(TINY_VGG).logits(features)


def test_dropout_changes_what_follows_and_not_the_features_that_are_compared():
    """In training fc6 is the same each time, while fc7 behind dropout is not."""
    network = planted(caffe_arrays()).train()
    images = minus_mean(photographs())
    torch.manual_seed(0)
    first, second = network(images), network(images)

    assert torch.equal(first.fc6, second.fc6)
    assert not torch.equal(first.fc7, second.fc7)


def test_an_embedding_is_fc7_of_unit_length_to_the_last_bit():
    """The graph computes with values 64 times smaller, which in binary is no rounding."""
    network, images = planted(caffe_arrays()), photographs()
    with torch.inference_mode():
        found = VggFaceRecognizer(network)(torch.from_numpy(images))
        fc7 = network(minus_mean(images)).fc7

    assert torch.equal(found, fc7 / torch.linalg.vector_norm(fc7, dim=1, keepdim=True))
    assert_allclose(torch.linalg.vector_norm(found, dim=1).numpy(), 1, rtol=1e-6)


def test_an_embedding_of_nothing_is_finite():
    network = planted(caffe_arrays())
    with torch.no_grad():
        network.fc7.weight.zero_()
        network.fc7.bias.fill_(-1)
        found = VggFaceRecognizer(network)(torch.from_numpy(photographs()))

    assert torch.equal(found, torch.zeros(3, 9))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A narrow network whose activations leave the range of fp16, and its fp32 graph."""
    folder = tmp_path_factory.mktemp("vgg_face")
    generator = torch.Generator().manual_seed(0)
    network = VggFace(VGG_FACE_NARROW).eval()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            is_bias = name.endswith("bias")
            deviation = 30.0 if is_bias else 1.7 * (2 / tensor[0].numel()) ** 0.5
            tensor.normal_(0, deviation, generator=generator)
    save_file(network.state_dict(), folder / "w.safetensors")
    first = SPEC.networks["vgg_face_narrow"].write_onnx(
        SMALL,
        WeightsRequest(checkpoint=folder / "w.safetensors"),
        SPEC.tolerances["fp32"],
        folder / "model.onnx",
    )
    assert first.parity, first.parity.failures
    assert first.parameters == 5_835_944
    return network, folder / "model.onnx"


def test_a_graph_is_the_contract_and_says_what_its_weights_file_does(graph):
    network, path = graph
    case = example_batch(CONTRACT, 2, seed=3)
    with torch.inference_mode():
        fc7 = network(minus_mean(case["crop_224"])).fc7

    (answer,) = run_onnx(path, [case])

    assert graph_mismatches(CONTRACT, onnx.load(path).graph) == []
    wanted = fc7 / torch.linalg.vector_norm(fc7, dim=1, keepdim=True)
    assert_allclose(answer["embedding"], wanted.numpy(), atol=1e-5)
    assert answer["embedding"][0] @ answer["embedding"][1] < 0.9999


def test_half_precision_survives_activations_beyond_its_range(graph, tmp_path):
    network, path = graph
    cases = example_cases(SMALL)
    with torch.inference_mode():
        loudest = max(float(f.max()) for f in network(minus_mean(cases[2]["crop_224"])))
    convert_to_fp16(path, SMALL, tmp_path / "half.onnx", fp32_op_types=SPEC.fp32_op_types)

    report = compare(
        run_onnx(path, cases), run_onnx(tmp_path / "half.onnx", cases), SPEC.tolerances["fp16"]
    )

    assert loudest > 2 * LARGEST_FP16
    assert report, report.failures
    weights = onnx.load(tmp_path / "half.onnx").graph.initializer
    kernels = [w for w in weights if len(w.dims) == 4]
    assert len(kernels) == 13
    assert {w.data_type for w in kernels} == {onnx.TensorProto.FLOAT16}


def test_the_mean_is_of_red_green_and_blue():
    (mean,) = [
        b for n, b in VggFaceRecognizer(VggFace(TINY_VGG)).named_buffers() if n == "mean_rgb"
    ]

    assert_allclose(np.asarray(mean).ravel(), (129.1863, 104.7624, 93.5940), rtol=1e-6)
