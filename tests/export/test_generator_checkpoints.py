# SPDX-License-Identifier: Apache-2.0
"""Files of the structure in which autoencoders and denoisers were published, tiny inside."""

import dataclasses

import pytest
import torch
from safetensors.torch import save_file

from mien_export.checkpoints import load_strictly, read_checkpoint, rename_nothing
from mien_export.errors import CheckpointError
from mien_export.generator_checkpoints import (
    rename_to_denoiser,
    rename_to_latent_decoder,
    rename_to_latent_encoder,
)
from mien_export.networks.adm import Adm
from mien_export.networks.autoencoder import LatentDecoder, LatentEncoder
from mien_export.networks.denoiser import Denoiser
from mien_export.networks.style_encoder import StyleEncoder

from .tiny_generators import (
    TINY_ADM,
    TINY_DENOISER,
    TINY_KL,
    TINY_STYLE,
    TINY_VQ,
    state_of,
    with_lively_weights,
)

UIFACE = dataclasses.replace(TINY_DENOISER, contexts="identity")
IDIFF_FACE = dataclasses.replace(UIFACE, learns_empty=False)
NETWORKS = {
    "encoder": (lambda: LatentEncoder(TINY_VQ), rename_to_latent_encoder),
    "decoder": (lambda: LatentDecoder(TINY_VQ), rename_to_latent_decoder),
    "kl_encoder": (lambda: LatentEncoder(TINY_KL), rename_to_latent_encoder),
    "kl_decoder": (lambda: LatentDecoder(TINY_KL), rename_to_latent_decoder),
    "uiface": (lambda: Denoiser(UIFACE), rename_to_denoiser),
    "idiff_face": (lambda: Denoiser(IDIFF_FACE), rename_to_denoiser),
    "morphface": (lambda: Denoiser(TINY_DENOISER), rename_to_denoiser),
    "adm": (lambda: Adm(TINY_ADM), rename_nothing),
    "style": (lambda: StyleEncoder(TINY_STYLE), rename_nothing),
}
HALVES = ["encoder", "decoder"]
DENOISERS = ["uiface", "idiff_face", "morphface"]
SCHEDULE = (
    "betas", "alphas", "sigmas", "sqrt_alphas_inv", "alpha_bars", "sqrt_alpha_bars",
    "sqrt_one_minus_alpha_bars", "one_minus_alphas_over_sqrt_one_minus_alpha_bars",
)  # fmt: skip


def trained(name):
    return state_of(with_lively_weights(NETWORKS[name][0](), seed=3))


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def write(content, tmp_path, name="weights.ckpt"):
    path = tmp_path / name
    torch.save(content, path)
    return path


def load(path, name):
    make, rename = NETWORKS[name]
    network = make()
    load_strictly(network, read_checkpoint(path), rename)
    return network.state_dict()


def assert_loads(path, name):
    loaded, wanted = load(path, name), trained(name)

    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)


def refusal(content, name, tmp_path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(write(content, tmp_path), name)
    return str(caught.value)


def first_stage(kind=""):
    """Both halves, and what training leaves beside them."""
    extras = {"loss.logvar": torch.ones(()), "model_ema.decoderconv_inweight": torch.ones(3)}
    return {**trained(f"{kind}encoder"), **trained(f"{kind}decoder"), **extras}


def schedule():
    return {name: torch.linspace(0, 1, 1000) for name in SCHEDULE}


@pytest.mark.parametrize("name", NETWORKS)
def test_files_of_a_network_alone_load(name, tmp_path):
    save_file(trained(name), tmp_path / "own.safetensors")

    assert_loads(tmp_path / "own.safetensors", name)
    assert_loads(write(trained(name), tmp_path, "own.pt"), name)


@pytest.mark.parametrize("kind", ["", "kl_"])
@pytest.mark.parametrize("half", HALVES)
def test_each_half_comes_out_of_a_whole_first_stage(half, kind, tmp_path):
    """vq-f4 and kl-f4 as released: under state_dict, with what training left."""
    assert_loads(write({"state_dict": first_stage(kind), "epoch": 3}, tmp_path), f"{kind}{half}")


@pytest.mark.parametrize("half", HALVES)
def test_each_half_comes_out_of_a_whole_latent_diffusion_model(half, tmp_path):
    content = {
        **prefixed(first_stage(), "first_stage_model."),
        "model.diffusion_model.time_embed.0.weight": torch.ones(3),
        "model_ema.diffusion_modeltime_embed0weight": torch.ones(3),
        "cond_stage_model.transformer.weight": torch.ones(3),
        "betas": torch.ones(1000),
        "scale_factor": torch.ones(()),
    }

    assert_loads(write({"state_dict": content}, tmp_path), half)


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize(
    "prefix", ["", "module.", "eps_model.", "eps_model.module.", "module.eps_model."]
)
def test_a_denoiser_comes_out_of_every_wrapper_of_its_training(name, prefix, tmp_path):
    outer = "module." if prefix.startswith("module.") else ""
    content = {**prefixed(trained(name), prefix), **prefixed(schedule(), outer)}

    assert_loads(write(content, tmp_path), name)


@pytest.mark.parametrize("half", HALVES)
def test_the_other_half_is_no_substitute(half, tmp_path):
    other = trained("decoder" if half == "encoder" else "encoder")

    message = refusal(other, half, tmp_path)

    assert f"{len(trained(half))} missing: " in message


@pytest.mark.parametrize(("content", "network"), [("kl_", ""), ("", "kl_")])
def test_vq_and_kl_are_told_apart(content, network, tmp_path):
    encoder = refusal(first_stage(content), f"{network}encoder", tmp_path)
    decoder = refusal(first_stage(content), f"{network}decoder", tmp_path)

    assert "mis-shaped: encoder.conv_out.weight" in encoder
    assert "quantize.embedding.weight" in decoder


@pytest.mark.parametrize(
    ("content", "network", "expected"),
    [
        ("uiface", "idiff_face", "1 unexpected: empty_context_embedding."),
        ("idiff_face", "uiface", "1 missing: empty_context_embedding."),
        ("uiface", "morphface", "empty_context_embedding_id, empty_context_embedding_sty"),
    ],
)
def test_denoisers_of_other_contexts_are_told_apart(content, network, expected, tmp_path):
    assert expected in refusal(trained(content), network, tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_missing_left_over_or_misshapen_is_listed(name, tmp_path):
    content = trained(name)
    kept, gone, *_ = [key for key in content if key.endswith(".weight")]
    del content[gone]
    content |= {kept: torch.ones(7), "extra.weight": torch.ones(1)}

    message = refusal(content, name, tmp_path)

    assert f"1 missing: {gone}." in message
    assert "1 unexpected: extra.weight." in message
    assert f"1 mis-shaped: {kept} (7,) instead of" in message
    assert "--network" not in message


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_that_are_not_finite_are_refused(name, tmp_path):
    content = trained(name)
    key = next(iter(content))
    content[key] = torch.full_like(content[key], float("nan"))

    assert f"NaN or infinite values in {key}" in refusal(content, name, tmp_path)


def test_a_prefix_on_some_names_only_is_not_taken_away(tmp_path):
    content = prefixed(trained("uiface"), "eps_model.")
    content["image_proj.bias"] = content.pop("eps_model.image_proj.bias")

    assert f"{len(content) - 1} unexpected: eps_model." in refusal(content, "uiface", tmp_path)
