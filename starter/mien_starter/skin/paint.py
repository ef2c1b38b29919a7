# SPDX-License-Identifier: Apache-2.0
"""Paints a person's texture: skin, lips, brows, lashes, beard shadow, freckles, lines, eyes, teeth.

Colours are display RGB in 0..1, as DECA's albedo spaces hold them. Everything is a function of the
place on the mean head, so that the seams of the UV layout do not show.

Letters  S side of the texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien_starter.head import uv_layout
from mien_starter.head.parts import EYE_RINGS_DEG, IRIS_DEG
from mien_starter.skin import front
from mien_starter.skin.noise import fields_on_head
from mien_starter.skin.texels import Texels

Array = npt.NDArray[Any]

# From the lightest to the darkest skin.
SKIN = np.array(
    [
        (0.955, 0.815, 0.745),
        (0.905, 0.735, 0.635),
        (0.815, 0.625, 0.500),
        (0.690, 0.495, 0.370),
        (0.515, 0.350, 0.255),
        (0.345, 0.230, 0.170),
    ]
)
IRISES = {
    "brown": ((0.22, 0.13, 0.07), (0.36, 0.21, 0.10)),
    "dark": ((0.10, 0.06, 0.04), (0.17, 0.10, 0.06)),
    "hazel": ((0.33, 0.29, 0.16), (0.50, 0.36, 0.16)),
    "green": ((0.30, 0.40, 0.28), (0.52, 0.50, 0.28)),
    "blue": ((0.26, 0.40, 0.56), (0.52, 0.64, 0.72)),
    "grey": ((0.38, 0.43, 0.47), (0.62, 0.66, 0.68)),
}
HAIRS = {
    "black": (0.06, 0.05, 0.05),
    "dark_brown": (0.15, 0.10, 0.07),
    "brown": (0.27, 0.18, 0.11),
    "light_brown": (0.42, 0.30, 0.19),
    "blond": (0.66, 0.52, 0.33),
    "red": (0.50, 0.23, 0.11),
    "grey": (0.55, 0.54, 0.53),
}
TOOTH_WIDTHS = (8.6, 6.8, 7.6, 7.0, 6.8, 9.5)  # one side, from the middle, millimetres
PUPIL_PART = 0.36  # of the iris's radius


@dataclass(frozen=True)
class Complexion:
    """What a person's texture is made of; all in 0..1 unless said otherwise."""

    melanin: float = 0.3
    redness: float = 0.0  # -1 .. 1
    yellowness: float = 0.0  # -1 .. 1
    lip_redness: float = 0.5
    brow_strength: float = 0.8
    brow_shape: int = 0  # of `BROW_SHAPES`
    beard: float = 0.0
    moustache: float = 0.0
    lash_strength: float = 0.6
    freckles: float = 0.0
    lines: float = 0.0
    circles: float = 0.2
    blush: float = 0.3
    mottle: tuple[float, ...] = (0.0,) * 4  # about -1 .. 1
    hair: tuple[float, float, float] = HAIRS["dark_brown"]
    iris: tuple[tuple[float, float, float], tuple[float, float, float]] = IRISES["brown"]
    tooth_shade: float = 0.3


BROW_SHAPES = (
    front.BrowShape(thickness_mm=7.5, arch_mm=1.0, hairs=330),
    front.BrowShape(thickness_mm=5.5, arch_mm=2.6, hairs=240),
    front.BrowShape(thickness_mm=9.5, arch_mm=0.0, hairs=430),
    front.BrowShape(thickness_mm=4.5, arch_mm=0.6, hairs=170),
)


class Painter:
    """Masks that do not depend on the person, made once, and the strokes that use them.

    Args:
        texels: of the head.
    """

    def __init__(self, texels: Texels) -> None:
        self.texels = texels
        self.masks: dict[str, Array] = _masks(texels)

    def paint(self, who: Complexion) -> npt.NDArray[np.float32]:
        """(S, S, 3) texture of one person."""
        m = self.masks
        texture = self._skin(who)
        lips = _skin_colour(who.melanin * 0.8 + 0.08)
        lips = lips * np.array([0.90, 0.70, 0.71])
        lips = lips + who.lip_redness * np.array([0.035, -0.045, -0.030])
        texture = _over(texture, lips, 0.85 * m["lips"])
        texture = _over(texture, lips * 0.42, 0.8 * m["seam"])
        texture = _over(texture, texture * 0.35, m["nostrils"])
        hair = np.array(who.hair)
        shade = 0.55 * hair + 0.45 * texture * 0.55
        texture = _over(texture, shade, 0.75 * who.beard * m["beard"])
        texture = _over(texture, shade, 0.75 * who.moustache * m["moustache"])
        dark = np.array(who.hair) * 0.7 + 0.02
        texture = _over(texture, dark, who.brow_strength * m[f"brow_{who.brow_shape}"])
        texture = _over(texture, dark * 0.5, who.lash_strength * m["lashes_upper"])
        texture = _over(texture, dark * 0.7, 0.6 * who.lash_strength * m["lashes_lower"])
        texture = self._eyes(texture, who)
        texture = self._mouth(texture, who)
        return self.texels.padded(np.clip(texture, 0, 1)).astype(np.float32)

    def _skin(self, who: Complexion) -> Array:
        m = self.masks
        base = _skin_colour(who.melanin)
        tint = np.array([0.030, -0.014, -0.016]) * who.redness
        tint = tint + np.array([0.012, 0.006, -0.030]) * who.yellowness
        texture = np.broadcast_to(base + tint, (*m["lips"].shape, 3)).astype(np.float64)
        depth = 1.0 - 0.35 * who.melanin
        red = np.array([0.035, -0.055, -0.050]) * depth
        texture = texture + red * ((0.25 + 0.75 * who.blush) * m["blush"])[..., None]
        texture = texture + 0.8 * red * m["ear_red"][..., None]
        # Lighter where bone is near, darker under the eyes and with age.
        texture = texture * (1 + 0.035 * m["bone"])[..., None]
        texture = _over(texture, texture * np.array([0.80, 0.74, 0.78]), who.circles * m["circles"])
        for index, weight in enumerate(who.mottle):
            texture = texture * (1 + 0.011 * weight * m[f"mottle_{index}"])[..., None]
        texture = texture * (1 + 0.018 * m["pores"])[..., None]
        freckle = np.array([0.62, 0.46, 0.36]) * (1 - 0.4 * who.melanin)
        texture = _over(texture, texture * freckle, 0.75 * who.freckles * m["freckles"])
        return _over(texture, texture * np.array([0.78, 0.70, 0.68]), who.lines * m["lines"])

    def _eyes(self, texture: Array, who: Complexion) -> Array:
        inner, outer = np.array(who.iris[1]), np.array(who.iris[0])
        for name in ("eye_left", "eye_right"):
            eye = self.masks[name]
            r, fibre = self.masks["eye_radius"], self.masks["eye_fibre"]
            pink = 0.10 * self.masks["eye_pink"][..., None] * [0.2, 1.0, 0.9]
            white = np.array([0.90, 0.885, 0.865]) - pink
            iris = inner + (outer - inner) * np.clip((r - 0.35) / 0.5, 0, 1)[..., None]
            iris = iris * (1 + 0.30 * fibre)[..., None]
            iris = _over(iris, iris * 0.30, _ramp(r, 0.84, 1.0))
            ball = _over(iris, np.array([0.015, 0.012, 0.012]), 1 - _ramp(r, 0.30, 0.40))
            ball = _over(ball, white, _ramp(r, 0.96, 1.10))
            ball = ball * (1 - 0.22 * self.masks["eye_shadow"])[..., None]
            texture = np.where(eye[..., None], ball, texture)
        return texture

    def _mouth(self, texture: Array, who: Complexion) -> Array:
        m = self.masks
        flesh = np.array([0.62, 0.27, 0.26]) * (1 - 0.25 * who.melanin)
        deep = flesh * (0.25 + 0.75 * m["mouth_front"])[..., None]
        texture = np.where(m["mouth"][..., None], deep, texture)
        texture = np.where(m["sockets"][..., None], flesh * 0.9, texture)
        tongue = np.array([0.74, 0.37, 0.36]) * (0.55 + 0.45 * m["tongue_front"])[..., None]
        texture = np.where(m["tongue"][..., None], tongue, texture)
        ivory = np.array([0.93, 0.90, 0.83]) - who.tooth_shade * np.array([0.06, 0.08, 0.16])
        teeth = (
            ivory
            * (1 - 0.38 * m["tooth_gap"])[..., None]
            * (0.45 + 0.55 * m["tooth_lit"])[..., None]
        )
        gum = flesh * 1.12
        teeth = _over(teeth, gum, m["gum"])
        return np.where(m["teeth"][..., None], teeth, texture)


def _over(below: Array, above: Array, coverage: Array) -> Array:
    return np.asarray(below + (above - below) * np.asarray(coverage)[..., None])


def _ramp(values: Array, start: float, end: float) -> Array:
    t = np.clip((values - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _skin_colour(melanin: float) -> Array:
    at = np.clip(melanin, 0, 1) * (len(SKIN) - 1)
    low = min(int(at), len(SKIN) - 2)
    return np.asarray(SKIN[low] + (at - low) * (SKIN[low + 1] - SKIN[low]))


def _masks(texels: Texels) -> dict[str, Array]:
    x, y, z = np.moveaxis(texels.position.astype(np.float64), -1, 0)
    skin = texels.of("skin")
    facing = skin & (z > 0.0)

    def on_face(mask: Array) -> Array:
        return np.where(facing, front.at_points(mask, x, y), 0.0)

    masks = {name: on_face(mask) for name, mask in _front_masks().items()}
    masks["nostrils"] *= y < -0.0305
    masks["ear_red"] = np.where(skin, _ramp(np.abs(x), 0.074, 0.082) * (z < 0.02), 0.0)
    for index, field in enumerate(fields_on_head(texels.position, seed=5)):
        masks[f"mottle_{index}"] = field
    rng = np.random.default_rng(11)
    masks["pores"] = rng.normal(0, 1, x.shape)
    stubble = 0.75 + 0.25 * rng.uniform(-1, 1, x.shape)
    masks["beard"] = stubble * np.where(skin, _beard(x, y, z), 0.0) * (1 - masks["lips"])
    masks["moustache"] = stubble * masks["moustache"] * (1 - masks["lips"])
    return masks | _eye_masks(texels) | _mouth_masks(texels, z)


def _front_masks() -> dict[str, front.Mask]:
    """What is drawn on the front view of the head."""
    upper, lower = front.lashes()
    return {
        "lips": front.lips(),
        "seam": front.line(front.MOUTH_SEAM, 1.2, 0.5),
        "nostrils": front.bell(8.0, -32.5, 2.6, 1.5) * 0.9,
        "lashes_upper": upper,
        "lashes_lower": lower,
        "blush": front.bell(36.0, -18.0, 15.0, 12.0) + 0.8 * front.bell(0.0, -24.0, 9.0, 8.0),
        "bone": front.bell(0.0, 45.0, 26.0, 14.0) + front.bell(0.0, 5.0, 4.0, 14.0),
        "circles": front.bell(31.0, 4.0, 11.0, 4.0),
        "lines": _lines(),
        "freckles": _freckles(),
        "moustache": _moustache(),
        **{
            f"brow_{index}": front.brows(shape, np.random.default_rng(index))
            for index, shape in enumerate(BROW_SHAPES)
        },
    }


def _beard(x: Array, y: Array, z: Array) -> Array:
    """Chin, jaw and sideburns, millimetre by millimetre into the cheek and the neck."""
    edge = -0.040 - 0.020 * np.clip((z - 0.03) / 0.05, 0, 1) + 0.3 * np.clip(np.abs(x) - 0.05, 0, 1)
    below = _ramp(edge - y, -0.006, 0.010)
    above = _ramp(y, -0.125, -0.105)
    front_of_ear = _ramp(z, -0.012, 0.004)
    return np.asarray(below * above * front_of_ear * (np.abs(x) < 0.078))


def _moustache() -> front.Mask:
    path = [(-23.0, -56.0), (-14.0, -47.5), (-5.0, -43.5), (0.0, -44.5)]
    half = front.line(path, 8.0, 1.8)
    return front.mirrored(half)


def _lines() -> front.Mask:
    """Lines of age: forehead, frown, crow's feet, below the eyes, beside nose and mouth."""
    strokes = [
        [(-34.0, 51.0), (-17.0, 54.0), (0.0, 52.5)],
        [(-31.0, 61.0), (-15.0, 63.5), (0.0, 62.0)],
        [(-6.0, 31.0), (-5.0, 23.0)],
        [(-51.0, 15.0), (-59.0, 20.0)],
        [(-51.0, 12.0), (-60.0, 11.0)],
        [(-50.0, 9.0), (-57.0, 3.0)],
        [(-45.0, 4.0), (-33.0, -0.5), (-22.0, 2.0)],
        [(-19.0, -27.0), (-27.0, -39.0), (-31.0, -53.0)],
        [(-29.0, -62.0), (-29.5, -76.0)],
    ]
    mask = np.zeros(front.SHAPE, np.float32)
    for points in strokes:
        mask = np.maximum(mask, front.line(points, 1.1, 0.8) * 1.4)
    return front.mirrored(np.clip(mask, 0, 1))


def _freckles() -> front.Mask:
    rng = np.random.default_rng(3)
    mask = np.zeros(front.SHAPE, np.float32)
    for _ in range(420):
        point = front.pixels([(rng.normal(0, 30), rng.normal(-8, 17))])[0]
        radius = max(2, round(rng.gamma(3.0, 0.22) * front.PX_PER_MM))
        cv2.circle(mask, np.round(point).astype(int).tolist(), radius, rng.uniform(0.4, 1.0), -1)
    return front.blurred(mask, 0.35)


def _eye_masks(texels: Texels) -> dict[str, Array]:
    masks: dict[str, Array] = {}
    radius = np.full(texels.island.shape, 9.0)
    height = np.zeros_like(radius)
    turn = np.zeros_like(radius)
    for name, (left, bottom, right, top) in (
        ("eye_left", uv_layout.EYE_LEFT),
        ("eye_right", uv_layout.EYE_RIGHT),
    ):
        inside = texels.of(name)
        u = 2 * (texels.uv[..., 0] - left) / (right - left) - 1
        v = 2 * (texels.uv[..., 1] - bottom) / (top - bottom) - 1
        part = np.hypot(u, v) * EYE_RINGS_DEG[-1] / IRIS_DEG
        radius = np.where(inside, part, radius)
        height = np.where(inside, v * EYE_RINGS_DEG[-1] / IRIS_DEG, height)
        turn = np.where(inside, np.arctan2(v, u), turn)
        masks[name] = inside
    rng = np.random.default_rng(8)
    waves = sum(
        rng.uniform(0.4, 1.0) * np.sin(k * turn + rng.uniform(0, 6.3)) for k in (7, 11, 17, 23, 31)
    )
    masks["eye_radius"] = radius
    masks["eye_fibre"] = np.asarray(waves) / 2.5
    masks["eye_pink"] = _ramp(radius, 1.3, 2.6)
    masks["eye_shadow"] = _ramp(height, 0.1, 1.0) + 0.6 * _ramp(-height, 0.5, 1.2)
    return masks


def _mouth_masks(texels: Texels, z: Array) -> dict[str, Array]:
    upper, lower = texels.of("teeth_upper"), texels.of("teeth_lower")
    along = np.zeros(z.shape)
    up = np.zeros(z.shape)
    for inside, box in ((upper, uv_layout.TEETH_UPPER), (lower, uv_layout.TEETH_LOWER)):
        left, bottom, right, top = box
        along = np.where(inside, (texels.uv[..., 0] - left) / (right - left), along)
        up = np.where(inside, (texels.uv[..., 1] - bottom) / (top - bottom), up)
    from_middle = np.abs(along - 0.5) * 2 * sum(TOOTH_WIDTHS)
    borders = np.concatenate([[0.0], np.cumsum(TOOTH_WIDTHS)])
    distance = np.min(np.abs(from_middle[..., None] - borders), axis=-1)
    scallop = 0.80 - 0.10 * np.clip(1 - distance / 2.5, 0, 1)
    return {
        "teeth": upper | lower,
        "tooth_gap": np.exp(-0.5 * (distance / 0.55) ** 2),
        "tooth_lit": np.clip(1.15 - np.abs(along - 0.5) * 2.0, 0, 1),
        "gum": _ramp(up, scallop - 0.04, scallop + 0.04),
        "mouth": texels.of("mouth"),
        "mouth_front": _ramp(z, 0.055, 0.095),
        "sockets": texels.of("socket_left") | texels.of("socket_right"),
        "tongue": texels.of("tongue"),
        "tongue_front": _ramp(z, 0.02, 0.07),
    }
