# SPDX-License-Identifier: Apache-2.0
"""Linear albedo spaces: ours, FLAME's texture space, and the one converted from BFM.

Source   FLAME texture space and ``BFM_to_FLAME``, taken as DECA takes them.
Letters  S side of the stored image, K stored components.
Frame    row 0 of an image is the top of the UV square (v = 1).

| file | keys | values | colours |
|---|---|---|---|
| ours | ``mean`` ``tex_dir`` ``scale`` ``channel_order`` | ``scale`` is white | as stated |
| FLAME | ``mean`` ``tex_dir`` | 255 is white | BGR |
| BFM | ``MU`` ``PC`` | 1 is white | BGR |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien_export.errors import CheckpointError
from mien_export.head_files import read_archive

Floats = npt.NDArray[np.float32]

SIDE_PX, NUM_TEXTURE = 256, 50
_WHITE_IN_FLAME = 255.0
_WANTED = (
    "Expected mean and tex_dir as in FLAME's texture space (ours add scale and channel_order), or "
    "MU and PC as BFM_to_FLAME writes them."
)


@dataclass(frozen=True)
class TextureSpace:
    """An albedo space at the size and with the components that are served.

    Attributes:
        mean: (256, 256, 3) RGB, 0..1.
        basis: (256, 256, 3, 50) change per unit coefficient; coefficients have unit variance.
        origin: where the data comes from; "" where the file does not say.
        licence: under which terms; "" where the file does not say.

    Raises:
        CheckpointError: another shape, or values that are not finite.
    """

    mean: Floats
    basis: Floats
    origin: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        wanted = {"mean": (SIDE_PX, SIDE_PX, 3), "basis": (SIDE_PX, SIDE_PX, 3, NUM_TEXTURE)}
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise CheckpointError(f"{name} has shape {array.shape}; expected {shape}.")
            if not np.isfinite(array).all():
                raise CheckpointError(f"{name} has NaN or infinite values; the file is damaged.")


def read_texture_space(path: Path) -> TextureSpace:
    """Read an albedo space and cut it to what is served.

    Images larger than 256 are subsampled, every S / 256th pixel, which is what DECA's resize does;
    components beyond the 50th are left out. BFM's file takes 0.7 GB while it is read.

    Raises:
        CheckpointError: the file is missing, damaged, or no albedo space of at least 50 components.
    """
    arrays = read_archive(path)
    try:
        return _bfm(arrays) if {"MU", "PC"} <= arrays.keys() else _flame(arrays)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def _bfm(arrays: Mapping[str, npt.NDArray[Any]]) -> TextureSpace:
    mean, basis = arrays["MU"].reshape(-1), arrays["PC"]
    side = round((mean.size / 3) ** 0.5)
    if basis.ndim != 2 or len(basis) != mean.size or side * side * 3 != mean.size:
        raise CheckpointError(
            f"MU has shape {arrays['MU'].shape} and PC {basis.shape}; expected S * S * 3 values "
            "and as many rows of components."
        )
    shape = (side, side, 3)
    return _space(mean.reshape(shape), basis.reshape(*shape, -1), white=1.0, is_bgr=True)


def _flame(arrays: Mapping[str, npt.NDArray[Any]]) -> TextureSpace:
    if not {"mean", "tex_dir"} <= arrays.keys():
        raise CheckpointError(f"it has {', '.join(sorted(arrays)) or 'no arrays'}. {_WANTED}")
    white = float(arrays.get("scale", np.array(_WHITE_IN_FLAME)))
    order = str(arrays.get("channel_order", "bgr"))
    if not (np.isfinite(white) and white > 0) or order not in ("rgb", "bgr"):
        raise CheckpointError(
            f"scale is {white:g} and channel_order {order!r}; expected the positive value that is "
            "white, and rgb or bgr."
        )
    space = _space(arrays["mean"], arrays["tex_dir"], white=white, is_bgr=order == "bgr")
    texts = {key: str(arrays[key]) for key in ("origin", "licence") if key in arrays}
    return TextureSpace(space.mean, space.basis, **texts)


def _space(
    mean: npt.NDArray[Any], basis: npt.NDArray[Any], *, white: float, is_bgr: bool
) -> TextureSpace:
    side = len(mean)
    if mean.shape != (side, side, 3) or basis.shape[:3] != mean.shape or basis.ndim != 4:
        raise CheckpointError(
            f"the mean has shape {mean.shape} and the components {basis.shape}; expected "
            "(S, S, 3) and (S, S, 3, K)."
        )
    if side < SIDE_PX or side % SIDE_PX:
        raise CheckpointError(
            f"the images are {side} pixels wide; expected {SIDE_PX} or a multiple of it."
        )
    if basis.shape[3] < NUM_TEXTURE:
        raise CheckpointError(
            f"it has {basis.shape[3]} components; expected at least {NUM_TEXTURE}."
        )
    step = side // SIDE_PX
    order = [2, 1, 0] if is_bgr else [0, 1, 2]
    # Cut before anything is copied: the whole is twenty times larger.
    small = mean[::step, ::step][:, :, order].astype(np.float32)
    directions = basis[::step, ::step, :, :NUM_TEXTURE][:, :, order].astype(np.float32)
    return TextureSpace(small / np.float32(white), directions / np.float32(white))
