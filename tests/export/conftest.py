# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch

from mien_export.networks.iresnet import IResNet

from .tiny import TINY_IRESNET


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "trained.pth"
    torch.manual_seed(1)
    torch.save(IResNet(TINY_IRESNET).state_dict(), path)
    return path
