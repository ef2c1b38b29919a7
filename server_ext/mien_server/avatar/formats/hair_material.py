# SPDX-License-Identifier: Apache-2.0
"""The material of hair, from its geometry's colours."""

from __future__ import annotations

from mien_server.avatar.appearance import Material
from mien_server.avatar.hair_geometry import CardHair, Hair

__all__ = ["hair_material"]

ROUGHNESS = 0.55


def hair_material(hair: Hair, *, mean_colour: bool) -> Material:
    """A material for hair.

    Args:
        hair: lines, cards or a shell.
        mean_colour: where points have colours of their own, take their mean; otherwise white, by
            which a format that knows colours of points multiplies them.
    """
    own = hair.colour.ndim > 1
    if own and not mean_colour:
        colour = (1.0, 1.0, 1.0)
    else:
        red, green, blue = hair.colour.reshape(-1, 3).mean(axis=0).tolist()
        colour = (red, green, blue)
    texture = hair.texture if isinstance(hair, CardHair) else None
    return Material(
        "hair",
        texture,
        colour=colour,
        roughness=ROUGHNESS,
        double_sided=True,
        alpha_mode=hair.alpha_mode if isinstance(hair, CardHair) and texture else "OPAQUE",
    )
