# SPDX-License-Identifier: Apache-2.0
"""The generative networks through the real export path: tiny ones, and larger ones when slow."""

import dataclasses
import functools
import itertools

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mien_export.contract import graph_mismatches, read_config
from mien_export.fp16_from_onnx import convert_to_fp16
from mien_export.networks.adm import Adm
from mien_export.networks.autoencoder import LatentDecoder, LatentEncoder
from mien_export.networks.denoiser import Denoiser
from mien_export.networks.style_encoder import StyleEncoder
from mien_export.parity import compare, example_cases, run_onnx
from mien_export.random_weights import fill_randomly
from mien_export.registry import SPECS
from mien_export.spec import WeightsRequest

from .tiny import CONTRACTS
from .tiny_generators import TINY_ADM, TINY_DENOISER, TINY_KL, TINY_STYLE, TINY_VQ

# One attention less on either way: exporting is what takes the time.
TWO_CONTEXTS = dataclasses.replace(TINY_DENOISER, multipliers=(1, 2), attention=(False, True))
ONE_CONTEXT = dataclasses.replace(TWO_CONTEXTS, contexts="identity")
# Attends at 32 px of 256: at 128 px there would be a billion pairs of pixels.
DEEP_ADM = dataclasses.replace(
    TINY_ADM, multipliers=(1, 1, 1, 2), attention=(False, False, False, True)
)
# graph, choice of network, class, tiny sizes.
TINY = {
    "face_denoiser": ("morphface", Denoiser, TWO_CONTEXTS),
    "face_denoiser_ldm_tokens": (
        "morphface_ldm_tokens", Denoiser, dataclasses.replace(TWO_CONTEXTS, tokens=0)
    ),
    "face_denoiser_uiface": ("uiface", Denoiser, ONE_CONTEXT),
    "latent_encoder": ("vq_f4", LatentEncoder, TINY_VQ),
    "latent_encoder_kl": ("kl_f4", LatentEncoder, TINY_KL),
    "latent_decoder": ("vq_f4", LatentDecoder, TINY_VQ),
    "latent_decoder_kl": ("kl_f4", LatentDecoder, TINY_KL),
    "style_encoder": ("conv2", StyleEncoder, dataclasses.replace(TINY_STYLE, outputs=512)),
    "identity_denoiser": ("adm", Adm, DEEP_ADM),
}  # fmt: skip
STARTERS = {
    "face_denoiser": "morphface_narrow",
    "latent_encoder": "vq_f4_narrow",
    "latent_decoder": "vq_f4_narrow",
    "style_encoder": "conv2_narrow",
    "identity_denoiser": "adm_narrow",
}
PUBLISHED = {
    "face_denoiser": ("uiface", 216_341_443),
    "latent_encoder": ("vq_f4", 22_337_423),
    "latent_decoder": ("vq_f4", 32_985_359),
    "identity_denoiser": ("adm", 93_563_910),
}
DENOISERS = [name for name in TINY if name.startswith("face_denoiser")]


def model_of(name):
    return next(model for model in SPECS if name.startswith(model))


def contract_of(name, max_batch_size=4):
    contract = read_config(CONTRACTS / model_of(name) / "config.pbtxt")
    return dataclasses.replace(contract, max_batch_size=max_batch_size)


def write(network, name, path, max_batch_size=4):
    tolerances = SPECS[model_of(name)].tolerances["fp32"]
    contract = contract_of(name, max_batch_size)
    return network.write_onnx(contract, WeightsRequest(seed=1), tolerances, path)


def tiny_network(name):
    """The network of the real spec, in a tiny size."""
    choice, make, config = TINY[name]
    network = SPECS[model_of(name)].networks[choice]
    return dataclasses.replace(network, config=config, make=functools.partial(make, config))


@pytest.fixture(scope="module")
def tiny_graph(tmp_path_factory):
    """The graph of a tiny network, exported once and compared with its source."""

    @functools.cache
    def export(name):
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        first = write(tiny_network(name), name, path)
        assert first.parity, first.parity.failures
        assert first.parity.batches == (1, 1, 4)
        return path

    return export


def half_of(path, name, target):
    spec = SPECS[model_of(name)]
    convert_to_fp16(
        path, contract_of(name), target,
        fp32_op_types=spec.fp32_op_types, fp32_up_to=spec.fp32_up_to,
    )  # fmt: skip
    return target


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_graph_computes_what_its_source_does_and_is_the_contract(name, tiny_graph):
    graph = onnx.load(tiny_graph(name)).graph

    assert graph_mismatches(contract_of(name), graph) == []
    assert [item.name for item in graph.input] == [spec.name for spec in contract_of(name).inputs]


@pytest.mark.parametrize("name", TINY)
def test_a_sample_does_not_know_its_batch(name, tiny_graph):
    *_, batch = example_cases(contract_of(name, 5), seed=7)
    alone = [{key: array[i : i + 1] for key, array in batch.items()} for i in range(5)]
    together, *apart = run_onnx(tiny_graph(name), [batch, *alone])

    for key, array in together.items():
        scale = np.abs(array).max()
        assert_allclose(array, np.concatenate([a[key] for a in apart]), atol=2e-5 * scale)


def test_parity_sees_every_condition_at_the_first_a_middle_and_the_last_timestep():
    *singles, full = example_cases(contract_of("face_denoiser", 12))
    seen = zip(*(full[name][:, 0].tolist() for name in ("t", "keep_id", "keep_sty")), strict=True)

    assert set(seen) == set(itertools.product((999, 500, 0), (0, 1), (0, 1)))
    assert [float(case["t"][0, 0]) for case in singles] == [999, 500]
    assert abs(full["z"].std() - 1) < 0.02
    assert abs(full["z"].mean()) < 0.02
    assert_allclose(np.linalg.norm(full["c_id"], axis=1), 1, rtol=1e-6)


def test_parity_sees_noisy_pictures_in_their_own_range():
    *_, full = example_cases(contract_of("identity_denoiser", 4))

    assert full["x_t"].shape == (4, 3, 256, 256)
    assert abs(full["x_t"].std() - 1) < 0.01
    assert sorted(full["t"][:3, 0]) == [0, 500, 999]


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("kind", ["id", "sty"])
def test_in_the_graph_a_dropped_context_may_be_anything(name, kind, tiny_graph):
    *_, case = example_cases(contract_of(name))
    dropped = {**case, f"keep_{kind}": np.zeros((4, 1), np.float32)}
    rubbish = {**dropped, f"c_{kind}": np.full((4, 512), np.nan, np.float32)}
    kept = {**case, f"keep_{kind}": np.ones((4, 1), np.float32)}
    before, after, other = (
        found["eps"] for found in run_onnx(tiny_graph(name), [dropped, rubbish, kept])
    )

    assert_array_equal(before, after)
    has_context = kind == "id" or name != "face_denoiser_uiface"
    assert (np.abs(other - before).max() > 1e-4) == has_context


def test_a_network_without_style_takes_it_and_does_not_look(tiny_graph):
    *_, case = example_cases(contract_of("face_denoiser"))
    other = {**case, "c_sty": case["c_sty"] + 1, "keep_sty": 1 - case["keep_sty"]}
    before, after = (
        found["eps"] for found in run_onnx(tiny_graph("face_denoiser_uiface"), [case, other])
    )

    assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["latent_decoder", "latent_decoder_kl"])
def test_pictures_are_clamped_to_0_255(name, tiny_graph):
    z = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32) * 30
    (found,) = run_onnx(tiny_graph(name), [{"z": z}])

    assert found["image_128"].min() == 0
    assert found["image_128"].max() == 255


def test_only_the_vq_decoder_gives_equal_pictures_for_latents_with_equal_codes(tiny_graph):
    """A step much smaller than the distance of two codes changes no code, or few."""
    z = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    differences = {}
    for name in ("latent_decoder", "latent_decoder_kl"):
        first, second = run_onnx(tiny_graph(name), [{"z": z}, {"z": z + np.float32(1e-6)}])
        differences[name] = np.abs(first["image_128"] - second["image_128"]).max()

    assert differences["latent_decoder"] == 0 < differences["latent_decoder_kl"]


def inputs_of(graph, op_type):
    """Types of the initializers that nodes of a type and all before them take."""
    wanted, types = set(), set()
    constants = {item.name: item.data_type for item in graph.initializer}
    for node in reversed(graph.node):
        if node.op_type == op_type or wanted & set(node.output):
            wanted |= set(node.input)
    for name in wanted & constants.keys():
        types.add(onnx.TensorProto.DataType.Name(constants[name]))
    return types


@pytest.mark.parametrize(
    ("name", "op_type"),
    [("face_denoiser", "Cos"), ("identity_denoiser", "Sin"), ("latent_decoder", "ArgMin")],
)
def test_in_half_precision_angles_and_codes_are_still_found_in_fp32(
    name, op_type, tiny_graph, tmp_path
):
    graph = onnx.load(half_of(tiny_graph(name), name, tmp_path / "half.onnx")).graph
    found = inputs_of(graph, op_type)

    assert "FLOAT" in found
    assert "FLOAT16" not in found
    halves = [item for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) > 20


def test_in_half_precision_the_same_codes_are_the_nearest(tiny_graph, tmp_path):
    """Bisectors of two codes, and a step to either side: halves could not tell the sides apart."""
    path = tiny_graph("latent_decoder")
    half = half_of(path, "latent_decoder", tmp_path / "half.onnx")
    graph = onnx.load(path).graph
    (codes,) = (
        onnx.numpy_helper.to_array(item) for item in graph.initializer if list(item.dims) == [32, 3]
    )
    rng = np.random.default_rng(0)
    pairs = np.array([rng.choice(32, 2, replace=False) for _ in range(1024)])
    middle = codes[pairs].mean(axis=1) + 1e-4 * (codes[pairs[:, 0]] - codes[pairs[:, 1]])
    z = middle.T.reshape(1, 3, 32, 32).astype(np.float32)
    (wanted,), (found,) = (run_onnx(p, [{"z": z}]) for p in (path, half))

    assert compare([wanted], [found], SPECS["latent_decoder"].tolerances["fp16"])


@pytest.mark.parametrize("name", ["face_denoiser", "latent_decoder", "identity_denoiser"])
def test_random_weights_follow_their_seed(name):
    """Codebooks, learned vectors and transposed convolutions too."""
    contract, network = contract_of(name), tiny_network(name)
    _, make, config = TINY[name]
    states = []
    for seed in (3, 3, 4):
        module = network.wrap(make(config))
        examples = example_cases(contract)[-1]
        fill_randomly(module, [examples[spec.name] for spec in contract.inputs], seed)
        states.append({key: value.clone() for key, value in module.state_dict().items()})

    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    # What is still at zero or one after drawing are biases and norms.
    drawn = [key for key, value in states[0].items() if value.dim() > 1 or "empty" in key]
    assert len(drawn) > 20
    assert not any(torch.equal(states[0][key], states[2][key]) for key in drawn)
    assert not module.training


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.full_size if model == "identity_denoiser" else ())
        for model in STARTERS
    ],
)
def test_starters_keep_their_tolerances_in_both_precisions(model, tmp_path):
    spec = SPECS[model]
    first = write(spec.networks[STARTERS[model]], model, tmp_path / "model.onnx")
    half = half_of(tmp_path / "model.onnx", model, tmp_path / "half.onnx")
    cases = example_cases(contract_of(model))
    report = compare(
        run_onnx(tmp_path / "model.onnx", cases), run_onnx(half, cases), spec.tolerances["fp16"]
    )

    assert first.parity, first.parity.failures
    assert report, report.failures
    assert half.stat().st_size < 16_000_000
    assert half.stat().st_size < 0.55 * (tmp_path / "model.onnx").stat().st_size


@pytest.mark.full_size
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", PUBLISHED)
def test_published_sizes_compute_what_their_source_does(model, tmp_path):
    name, parameters = PUBLISHED[model]
    first = write(SPECS[model].networks[name], model, tmp_path / "model.onnx", max_batch_size=2)

    assert first.parity, first.parity.failures
    assert first.parameters == parameters
