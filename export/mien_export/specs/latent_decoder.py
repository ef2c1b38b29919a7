# SPDX-License-Identifier: Apache-2.0
"""latent_decoder: a latent to the picture it stands for."""

from __future__ import annotations

import functools

from mien_export.generator_checkpoints import rename_to_latent_decoder
from mien_export.networks.autoencoder import (
    KL_F4,
    KL_F4_STARTER,
    VQ_F4,
    VQ_F4_STARTER,
    AutoencoderConfig,
    LatentDecoder,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.specs.latent_encoder import LDM_LICENCE
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import DecodedImage

_HALF = Tolerance(
    "11 significant bits; a two-hundredth of a picture is a noise of 50 dB, which nobody sees",
    max_relative=0.005,
)


def _network(config: AutoencoderConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(LatentDecoder, config),
        wrap=DecodedImage,
        rename=rename_to_latent_decoder,
    )


SPEC = ExportSpec(
    model="latent_decoder",
    networks={
        "vq_f4": _network(
            VQ_F4,
            "33.0 M parameters: first_stage_decoder_state_dict.pt, or LDM's vq-f4",
            LDM_LICENCE,
        ),
        "kl_f4": _network(KL_F4, "33.0 M parameters: LDM's kl-f4", LDM_LICENCE),
        "vq_f4_narrow": _network(
            VQ_F4_STARTER, "1.7 M parameters, a twentieth of the work", "none published"
        ),
        "kl_f4_narrow": _network(
            KL_F4_STARTER, "1.7 M parameters, without a codebook", "none published"
        ),
    },
    default_network="vq_f4",
    tolerances={
        "fp32": {
            "image_128": Tolerance(
                "0..255; two orders of summation through 40 layers; a tenth of a step of an 8-bit "
                "colour",
                max_abs=0.1,
            )
        },
        "fp16": {"image_128": _HALF},
        "tensorrt": {"image_128": _HALF},
    },
    # Sums of squares over many thousands of values; the codes as they are; 0..255 at the end.
    fp32_op_types=("InstanceNormalization", "Softmax", "Gather", "Clip"),
    # In half precision another code would be the nearest here and there.
    fp32_up_to=("ArgMin",),
    is_optional=True,
)
