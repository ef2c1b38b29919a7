# SPDX-License-Identifier: Apache-2.0
"""hair_segmenter: a portrait to the probabilities of hair and of the body."""

from __future__ import annotations

import functools

from mien_export.checkpoints import rename_nothing
from mien_export.networks.hair_segmenter import HAIR_SEGMENTER, HairSegmenter, Likelihoods
from mien_export.parity import Tolerance
from mien_export.spec import ExportSpec
from mien_export.torch_network import TorchNetwork

_HALF = Tolerance(
    "probabilities; 11 significant bits in the features; moves an edge by a fraction of a pixel",
    max_abs=0.05,
)

SPEC = ExportSpec(
    model="hair_segmenter",
    networks={
        "segmenter": TorchNetwork(
            summary="0.8 M parameters, 0.2 G multiplications: starter weights",
            licence_note="mien's starter weights: Apache-2.0",
            config=HAIR_SEGMENTER,
            make=functools.partial(HairSegmenter, HAIR_SEGMENTER),
            wrap=Likelihoods,
            rename=rename_nothing,
        ),
    },
    default_network="segmenter",
    tolerances={
        "fp32": {"masks": Tolerance("probabilities; two orders of summation", max_abs=2e-4)},
        "fp16": {"masks": _HALF},
        "tensorrt": {"masks": _HALF},
    },
    # Preprocessing, and exponentials of logits.
    fp32_op_types=("Sub", "Div", "Softmax"),
    is_optional=True,
)
