# SPDX-License-Identifier: Apache-2.0
"""latent_encoder: a face crop to the latent that face_denoiser works on."""

from __future__ import annotations

import functools

from mien_export.generator_checkpoints import rename_to_latent_encoder
from mien_export.networks.autoencoder import (
    KL_F4,
    KL_F4_STARTER,
    VQ_F4,
    VQ_F4_STARTER,
    AutoencoderConfig,
    LatentEncoder,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import SignedRange

LDM_LICENCE = (
    "latent-diffusion: code MIT, no licence stated for its weights; trained on OpenImages (vq-f4, "
    "kl-f4) or FFHQ (CC BY-NC-SA)"
)
_HALF = Tolerance(
    "11 significant bits; a fiftieth of a latent of about unit variance is 1/50 of the noise that "
    "one of fifty steps takes away",
    max_relative=0.02,
)


def _network(config: AutoencoderConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(LatentEncoder, config),
        wrap=SignedRange,
        rename=rename_to_latent_encoder,
    )


SPEC = ExportSpec(
    model="latent_encoder",
    networks={
        "vq_f4": _network(
            VQ_F4,
            "22.3 M parameters: first_stage_encoder_state_dict.pt, or LDM's vq-f4",
            LDM_LICENCE,
        ),
        "kl_f4": _network(KL_F4, "22.4 M parameters: LDM's kl-f4, the mean", LDM_LICENCE),
        "vq_f4_narrow": _network(
            VQ_F4_STARTER, "1.0 M parameters, a twentieth of the work", "none published"
        ),
        "kl_f4_narrow": _network(KL_F4_STARTER, "1.0 M parameters, the mean", "none published"),
    },
    default_network="vq_f4",
    tolerances={
        "fp32": {
            "z": Tolerance("two orders of summation through 30 layers", max_relative=1e-4),
        },
        "fp16": {"z": _HALF},
        "tensorrt": {"z": _HALF},
    },
    # Preprocessing, and sums of squares over many thousands of values.
    fp32_op_types=("Sub", "Div", "InstanceNormalization", "Softmax"),
    is_optional=True,
)
