# SPDX-License-Identifier: Apache-2.0
"""hair_vae_encoder: HairNet's orientation map to a hairstyle's latent."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.hair_vae_config import HAIR_VAE, HAIR_VAE_STARTER, HairVaeConfig
from mien_export.networks.hair_vae_encoder import HairVaeEncoder
from mien_export.networks.hair_vae_strands import LatentOfMap
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork

HAIR_VAE_LICENCE = "none published; of HairNet's and the thesis's networks there are no weights"
_HALF = Tolerance(
    "11 significant bits; a fiftieth of a latent whose prior has unit variance moves hair by less "
    "than the encoder's own doubt",
    max_relative=0.02,
)


def _network(config: HairVaeConfig, summary: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=HAIR_VAE_LICENCE,
        config=config,
        make=functools.partial(HairVaeEncoder, config),
        wrap=LatentOfMap,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="hair_vae_encoder",
    networks={
        "vae": _network(HAIR_VAE, "13.3 M parameters"),
        "vae_narrow": _network(HAIR_VAE_STARTER, "1.3 M parameters: starter weights"),
    },
    default_network="vae",
    tolerances={
        "fp32": {
            "latent": Tolerance("two orders of summation through 20 layers", max_relative=1e-4)
        },
        "fp16": {"latent": _HALF},
        "tensorrt": {"latent": _HALF},
    },
    # Colours, whose differences count.
    fp32_op_types=("Div", "Sub", "Mul", "Clip", "Gather", "Split", "Slice", "Squeeze"),
    is_optional=True,
)
