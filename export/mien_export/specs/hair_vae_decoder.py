# SPDX-License-Identifier: Apache-2.0
"""hair_vae_decoder: a hairstyle's latent to strands on the grid of the scalp."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.hair_vae_config import HAIR_VAE, HAIR_VAE_STARTER, HairVaeConfig
from mien_export.networks.hair_vae_decoder import HairVaeDecoder
from mien_export.networks.hair_vae_strands import StrandsOfLatent
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.specs.hair_vae_encoder import HAIR_VAE_LICENCE
from mien_export.torch_network import TorchNetwork

# One strand more or less, of some 700 as long as each other, is 4 % of the length of all.
_HALF = Tolerance(
    "11 significant bits in the steps; a cell whose logit is nearly 0 may lose its strand or get "
    "one, and up to five of a head's hundreds do",
    max_relative=0.09,
)


def _network(config: HairVaeConfig, summary: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=HAIR_VAE_LICENCE,
        config=config,
        make=functools.partial(HairVaeDecoder, config),
        wrap=StrandsOfLatent,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="hair_vae_decoder",
    networks={
        "vae": _network(HAIR_VAE, "16.0 M parameters, all 100 points predicted"),
        "vae_narrow": _network(
            HAIR_VAE_STARTER, "1.7 M parameters, every third point: starter weights"
        ),
    },
    default_network="vae",
    tolerances={
        "fp32": {
            "strands": Tolerance(
                "two orders of summation; no cell may change its mind", max_relative=1e-3
            )
        },
        "fp16": {"strands": _HALF},
        "tensorrt": {"strands": _HALF},
    },
    # Sums of steps: 0.3 m have steps of 0.2 mm in fp16.
    fp32_op_types=("Clip", "Gather", "Split", "Slice", "Squeeze", "MatMul"),
    is_optional=True,
)
