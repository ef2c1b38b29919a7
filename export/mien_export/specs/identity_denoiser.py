# SPDX-License-Identifier: Apache-2.0
"""identity_denoiser: a picture with noise to the noise in it, for faces of new identities."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.adm import ADM_NARROW, DCFACE_G_ID, Adm, AdmConfig
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork
from mien_export.wrappers import NoiseAndVariance

_SAME = Tolerance(
    "two orders of summation through 40 layers; angles up to 999 have steps of 6e-5",
    max_relative=2e-4,
)
_HALF = Tolerance("11 significant bits, at every kind of timestep", max_relative=0.01)
_OUTPUTS = ("eps", "variance_mix")


def _network(config: AdmConfig, summary: str, licence_note: str) -> TorchNetwork:
    return TorchNetwork(
        summary=summary,
        licence_note=licence_note,
        config=config,
        make=functools.partial(Adm, config),
        wrap=NoiseAndVariance,
        rename=rename_nothing,
    )


SPEC = ExportSpec(
    model="identity_denoiser",
    networks={
        "adm": _network(
            DCFACE_G_ID,
            "93.6 M parameters: DCFace's ffhq_10m.pt",
            "DCFace: no licence, all rights reserved; trained on FFHQ (CC BY-NC-SA)",
        ),
        "adm_narrow": _network(
            ADM_NARROW, "5.9 M parameters, a sixteenth of the work", "none published"
        ),
    },
    default_network="adm",
    tolerances={
        "fp32": dict.fromkeys(_OUTPUTS, _SAME),
        "fp16": dict.fromkeys(_OUTPUTS, _HALF),
        "tensorrt": dict.fromkeys(_OUTPUTS, _HALF),
    },
    # Sums of squares over many thousands of values, and of exponentials.
    fp32_op_types=("InstanceNormalization", "Softmax"),
    # A timestep of 999 times its frequency has no digits left for the angle in half precision.
    fp32_up_to=("Cos", "Sin"),
    is_optional=True,
)
