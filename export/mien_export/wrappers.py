# SPDX-License-Identifier: Apache-2.0
"""Export-only modules: preprocessing and normalisation become part of the graph.

Every graph takes RGB in 0..255, so no caller can normalise twice or swap colours.
"""

from __future__ import annotations

import torch
from torch import nn

from mien_export.networks.landmarker import NUM_LANDMARKS_68
from mien_export.networks.vgg_face import VGG_FACE_MEAN_RGB

# Keeps the norm of an all-zero feature from dividing by zero; far below any real norm.
_SMALLEST_NORM = 1e-12
# Pixels go into VGG-Face with their mean taken away and no deviation, and it has no BatchNorm:
# its activations reach thousands. So many times less, they stay far from where fp16 ends.
_VGG_FACE_UNIT = 64.0


def as_it_is(network: nn.Module) -> nn.Module:
    """Take a network whose inputs and outputs are the contract's already."""
    return network


class FaceRecognizer(nn.Module):
    """A recognition backbone from raw crops to embeddings of unit length.

    ArcFace, ElasticFace and TFace are fed RGB, AdaFace BGR; both scale by (x - 127.5) / 127.5.
    """

    def __init__(self, backbone: nn.Module, *, is_bgr: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.is_bgr = is_bgr
        self.register_buffer("bgr_from_rgb", torch.tensor([2, 1, 0]), persistent=False)

    def forward(self, crop_112: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 112, 112), RGB 0..255, to (B, 512) of unit length."""
        x = (crop_112 - 127.5) / 127.5
        if self.is_bgr:
            x = torch.index_select(x, 1, self.get_buffer("bgr_from_rgb"))
        features = self.backbone(x)
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / norm.clamp_min(_SMALLEST_NORM)  # type: ignore[no-any-return]


class VggFaceRecognizer(nn.Module):
    """VGG-Face from raw crops to embeddings of unit length: fc7 behind ReLU.

    Convolutions, ReLU, pools and products of pixels and biases that are both 64 times smaller give
    features that are 64 times smaller, and of unit length the same ones. In fp32 that is exact, for
    64 is a power of two; in fp16 it keeps activations up to four million finite.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        mean = torch.tensor(VGG_FACE_MEAN_RGB)[:, None, None]
        self.register_buffer("mean_rgb", mean, persistent=False)

    def forward(self, crop_224: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 224, 224), RGB 0..255, to (B, 4096) of unit length, no value below 0."""
        x = (crop_224 - self.get_buffer("mean_rgb")) / _VGG_FACE_UNIT
        scaled = {
            name: tensor / _VGG_FACE_UNIT if name.endswith("bias") else tensor
            for name, tensor in self.backbone.named_parameters()
        }
        features = torch.func.functional_call(self.backbone, scaled, (x,)).fc7
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / norm.clamp_min(_SMALLEST_NORM)  # type: ignore[no-any-return]


class UnitRange(nn.Module):
    """A network fed RGB in 0..1, without mean or deviation: DECA's encoders."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, px, px), RGB 0..255, to what the network gives."""
        return self.network(image / 255)  # type: ignore[no-any-return]


class SignedRange(nn.Module):
    """A network fed RGB in -1..1: MICA."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, px, px), RGB 0..255, to what the network gives."""
        return self.network((image - 127.5) / 127.5)  # type: ignore[no-any-return]


class LandmarksInPixels(nn.Module):
    """A landmark network from raw crops to pixels of the crop and a probability."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, face_128: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map (B, 3, 128, 128), RGB 0..255, to 68 points, 5 points and the score.

        Returns:
            (B, 68, 2) and (B, 5, 2) pixels from the outer corner of the first one: the centre of
            pixel i lies at i + 0.5. (B, 1) probability of a face, 0..1.
        """
        points, logit = self.network((face_128 - 127.5) / 127.5)
        half = face_128.shape[-1] / 2
        pixels = points * half + half  # -1 and 1 are the outer edges
        return pixels[:, :NUM_LANDMARKS_68], pixels[:, NUM_LANDMARKS_68:], logit.sigmoid()


class DecodedImage(nn.Module):
    """A decoder that gives RGB in about -1..1: LDM's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, 32, 32) to (B, 3, 128, 128), RGB 0..255, clamped."""
        return (self.network(z) * 127.5 + 127.5).clamp(0.0, 255.0)  # type: ignore[no-any-return]


class TwoContexts(nn.Module):
    """A denoiser of identity and style, with one argument per tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        c_id: torch.Tensor,
        c_sty: torch.Tensor,
        keep_id: torch.Tensor,
        keep_sty: torch.Tensor,
    ) -> torch.Tensor:
        """Map (B, 3, 32, 32), (B, 1), twice (B, 512) and twice (B, 1) to (B, 3, 32, 32)."""
        return self.network(z, t, (c_id, c_sty), (keep_id, keep_sty))  # type: ignore[no-any-return]


class IdentityOnly(nn.Module):
    """A denoiser of identity alone, in the place of one of identity and style."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        c_id: torch.Tensor,
        c_sty: torch.Tensor,  # noqa: ARG002  # the contract gives it, this network knows no style
        keep_id: torch.Tensor,
        keep_sty: torch.Tensor,  # noqa: ARG002  # likewise
    ) -> torch.Tensor:
        """Map (B, 3, 32, 32), (B, 1), (B, 512) and (B, 1) to (B, 3, 32, 32)."""
        return self.network(z, t, (c_id,), (keep_id,))  # type: ignore[no-any-return]


class NoiseAndVariance(nn.Module):
    """A denoiser that also says how much the next step may vary: DCFace's G_id."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, 3, px, px) and (B, 1) to the noise and to ``v`` of Nichol and Dhariwal 2021.

        Returns:
            (B, 3, px, px) noise of unit variance. (B, 3, px, px) v, equation 15: the variance is
            exp(v log beta + (1 - v) log beta~), so 1 is beta and 0 the posterior's beta~.
        """
        eps, place = self.network(x_t, t).chunk(2, dim=1)
        return eps, (place + 1) / 2
