# SPDX-License-Identifier: Apache-2.0
"""hair_vae: HairNet's orientation map to strands on the grid of the scalp."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.hair_vae import HAIR_VAE, HAIR_VAE_STARTER, HairVae, HairVaeConfig
from mien_export.networks.hair_vae_strands import StrandsOfMap
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
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
        licence_note="none published; of HairNet's and the thesis's networks there are no weights",
        config=config,
        make=functools.partial(HairVae, config),
        wrap=StrandsOfMap,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="hair_vae",
    networks={
        "vae": _network(HAIR_VAE, "31 M parameters, 512 latents, all 100 points predicted"),
        "vae_narrow": _network(
            HAIR_VAE_STARTER, "2.4 M parameters, 256 latents, every third point: starter weights"
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
    # Colours, and sums of steps: 0.3 m have steps of 0.2 mm in fp16.
    fp32_op_types=("Div", "Sub", "Mul", "Clip", "Gather", "Split", "Slice", "Squeeze", "MatMul"),
    is_optional=True,
)
