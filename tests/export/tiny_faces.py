# SPDX-License-Identifier: Apache-2.0
"""The face networks in sizes small enough for tests."""

from mien_export.networks.deca import DecaEncoderConfig
from mien_export.networks.deca_detail import DetailGeneratorConfig
from mien_export.networks.iresnet import IResNetConfig
from mien_export.networks.landmarker import LandmarkerConfig
from mien_export.networks.mica import MicaConfig

TINY_ENCODER = DecaEncoderConfig(block="basic", blocks=(1, 1, 1, 1), base_width=4, hidden=8)
TINY_GENERATOR = DetailGeneratorConfig(widths=(4, 4, 4, 4, 4, 4))
TINY_LANDMARKER = LandmarkerConfig(widths=(4, 4, 4, 4), blocks=(0, 0, 1, 1), expansion=1)
TINY_TRUNK = IResNetConfig(blocks=(1, 1, 1, 1), widths=(8, 8, 8, 16))
TINY_MICA = MicaConfig(trunk=TINY_TRUNK, hidden=8, hidden_layers=2)
