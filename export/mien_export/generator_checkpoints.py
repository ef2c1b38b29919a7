# SPDX-License-Identifier: Apache-2.0
"""Names in the files of generative networks: whose they are, and what is left aside by name.

``first_stage_encoder_state_dict.pt``   half an autoencoder of IDiff-Face and UIFace; likewise
                                        ``…_decoder_…``
LDM's first stage (``vq-f4``)           both halves, and from training ``loss.*``, ``model_ema.*``
LDM as a whole                          the first stage under ``first_stage_model.``, beside the
                                        denoiser, its conditioning and the schedule
``[ema_averaged_]model_*.ckpt``         IDiff-Face's denoiser under ``eps_model.`` and the wrappers
                                        of its training, beside the schedule

Whatever else a file holds stays in, for the strict loader to name.
"""

from __future__ import annotations

import torch

from mien_export.checkpoints import Tensors, without_prefixes

_FIRST_STAGE = "first_stage_model."
_OTHERS_OF_LDM = ("model.", "model_ema.", "cond_stage_model.")
_ENCODER = ("encoder.", "quant_conv.")
_DECODER = ("decoder.", "post_quant_conv.", "quantize.")
_TRAINING = ("loss.", "model_ema.")
_DENOISER_WRAPPERS = ("module.", "eps_model.", "module.")
# What IDiff-Face keeps of its schedule; ours is computed where it is used.
_SCHEDULE = frozenset(
    {
        "betas",
        "alphas",
        "sigmas",
        "sqrt_alphas_inv",
        "alpha_bars",
        "sqrt_alpha_bars",
        "sqrt_one_minus_alpha_bars",
        "one_minus_alphas_over_sqrt_one_minus_alpha_bars",
    }
)


def rename_to_latent_encoder(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take the encoder's half of an autoencoder."""
    return _without(_first_stage(tensors), (*_DECODER, *_TRAINING))


def rename_to_latent_decoder(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take the decoder's half of an autoencoder."""
    return _without(_first_stage(tensors), (*_ENCODER, *_TRAINING))


def rename_to_denoiser(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take the denoiser out of the wrappers of IDiff-Face's and UIFace's training."""
    bare = without_prefixes(tensors, _DENOISER_WRAPPERS[:1])
    kept = {name: tensor for name, tensor in bare.items() if name not in _SCHEDULE}
    return without_prefixes(kept, _DENOISER_WRAPPERS[1:])


def _first_stage(tensors: Tensors) -> dict[str, torch.Tensor]:
    if not any(name.startswith(_FIRST_STAGE) for name in tensors):
        return dict(tensors)
    # A name without a dot is the schedule's.
    parts = {name: tensor for name, tensor in tensors.items() if "." in name}
    return {
        name.removeprefix(_FIRST_STAGE): tensor
        for name, tensor in _without(parts, _OTHERS_OF_LDM).items()
    }


def _without(tensors: Tensors, beginnings: tuple[str, ...]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(beginnings)}
