# SPDX-License-Identifier: Apache-2.0
"""face_denoiser: a latent with noise and the contexts of identity and style to the noise in it."""

from __future__ import annotations

import functools

from mien_export.generator_checkpoints import rename_to_denoiser
from mien_export.networks.denoiser import (
    IDIFF_FACE,
    MORPHFACE,
    MORPHFACE_LDM_TOKENS,
    MORPHFACE_STARTER,
    UIFACE,
    Denoiser,
    DenoiserConfig,
)
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import IdentityOnly, TwoContexts

_LICENCE = "IDiff-Face, UIFace: CC BY-NC-SA 4.0, trained on FFHQ or CASIA-WebFace, non-commercial"
_NONE = "none published"
_HALF = Tolerance(
    "11 significant bits, at every kind of timestep; what that does to finished faces is measured "
    "on them",
    max_relative=0.01,
)


def _network(config: DenoiserConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(Denoiser, config),
        wrap=IdentityOnly if config.contexts == "identity" else TwoContexts,
        rename=rename_to_denoiser,
    )


SPEC = ExportSpec(
    model="face_denoiser",
    networks={
        "morphface": _network(
            MORPHFACE, "250 M parameters: UIFace's with a second context, 32 tokens each", _NONE
        ),
        "morphface_ldm_tokens": _network(
            MORPHFACE_LDM_TOKENS, "186 M parameters: each context is one token, as in LDM", _NONE
        ),
        "uiface": _network(UIFACE, "216 M parameters: UIFace, identity alone", _LICENCE),
        "idiff_face": _network(
            IDIFF_FACE,
            "216 M parameters: IDiff-Face, ADMIS; identity alone, zeros drop it",
            _LICENCE,
        ),
        "morphface_narrow": _network(
            MORPHFACE_STARTER, "7.1 M parameters, a seventh of the work, both contexts", _NONE
        ),
    },
    default_network="morphface",
    tolerances={
        "fp32": {
            "eps": Tolerance(
                "two orders of summation through 60 layers; angles up to 999 have steps of 6e-5",
                max_relative=2e-4,
            )
        },
        "fp16": {"eps": _HALF},
        "int8": {
            "eps": Tolerance(
                "a wrong calibration is far off; what a right one does to finished faces is "
                "measured on them",
                max_relative=0.3,
            )
        },
        "tensorrt": {"eps": _HALF},
    },
    # Sums of squares over many thousands of values, and of exponentials.
    fp32_op_types=("InstanceNormalization", "Softmax"),
    # A timestep of 999 times its frequency has no digits left for the angle in half precision.
    fp32_up_to=("Cos", "Sin"),
    is_optional=True,
)
