# SPDX-License-Identifier: Apache-2.0
"""Feature spaces in which recall is measured, in place of the Inception network's.

DCFace and MorphFace take the features of an Inception network that was trained on ImageNet, to see
style and not who it is. Such weights may not be shipped. What there is instead:

- "style": DECA's codes as the served encoder reads them off the picture, without the shape, which
  is who it is; expression, pose with camera, texture and light count equally. This is what the
  paper calls style, and blind to hair, glasses and background;
- "thumbnail": the picture in 8 x 8 colours, which sees everything and nothing sharply;
- "embedding": the recogniser's, which was taught not to see style, so that little of it is left.

Letters  N pictures, M of them real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.morphface.store import Faces
from mien_server.deca_codes import CODE_COUNT, CODE_PARTS

__all__ = ["FEATURES", "FeatureSpace", "feature_spaces"]

FEATURES = ("style", "thumbnail", "embedding")
FeatureSpace = Callable[[Faces], NDArray[np.float64]]  # of N faces, (N, D)

_STYLE_GROUPS = (("expression",), ("pose", "camera"), ("texture",), ("light",))
_THUMBNAIL_PX = 8


def feature_spaces(real: Faces) -> Mapping[str, FeatureSpace]:
    """The spaces by name; a unit of "style" is what real pictures give.

    Args:
        real: M > 1 faces in photographs.
    """
    return {
        "style": style_space(real),
        "thumbnail": _thumbnails,
        "embedding": lambda faces: np.asarray(faces.embeddings, np.float64),
    }


def style_space(real: Faces) -> FeatureSpace:
    """Codes whose groups each have a total variance of 1 in photographs."""
    variances = np.asarray(real.codes, np.float64).var(axis=0)
    columns, units = [], []
    for parts in _STYLE_GROUPS:
        group = np.concatenate([np.arange(CODE_COUNT)[CODE_PARTS[part]] for part in parts])
        columns.append(group)
        units.append(np.full(len(group), np.sqrt(variances[group].sum()) or 1.0))
    chosen, unit = np.concatenate(columns), np.concatenate(units)

    def space(faces: Faces) -> NDArray[np.float64]:
        features: NDArray[np.float64] = np.asarray(faces.codes, np.float64)[:, chosen] / unit
        return features

    return space


def _thumbnails(faces: Faces) -> NDArray[np.float64]:
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in faces.images_rgb]
    features: NDArray[np.float64] = np.stack(small).reshape(len(small), -1) / 255.0
    return features
