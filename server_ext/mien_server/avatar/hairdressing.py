# SPDX-License-Identifier: Apache-2.0
"""Hairstyles of the library on somebody's head, in the form a file holds.

What depends on the style alone is worked out once: where its roots are on the head that it was made
on, and which strands its cards follow. Letters: V vertices of the head.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.hair_geometry import CardHair, Hair, ShellHair, StrandHair
from mien_server.avatar.head_asset import HeadAsset
from mien_server.avatar.options import HairForm, Level
from mien_server.hair.card_plan import plan_cards, strands_for_cards
from mien_server.hair.card_texture import card_texture_png
from mien_server.hair.cards import hair_cards
from mien_server.hair.head import Head
from mien_server.hair.levels import hair_level
from mien_server.hair.library import Hairstyle, HairstyleLibrary
from mien_server.hair.more_strands import more_strands
from mien_server.hair.own_styles import HAIRSTYLES_VARIABLE
from mien_server.hair.placing import bound_roots, placed
from mien_server.hair.polylines import with_points
from mien_server.hair.scalp_cap import scalp_cap
from mien_server.hair.shell import hair_shell
from mien_server.hair.strands import Strands
from mien_server.hair.surface import joined

__all__ = ["Hairdresser", "read_library"]

HAIRSTYLES, WIG_STAND = "hairstyles", "head.npz"
KEPT = 32  # things worked out about styles, a megabyte each at most

Kept = TypeVar("Kept")
Array = NDArray[Any]
Colour = tuple[float, float, float]


def read_library(folder: Path, environment: Mapping[str, str] = os.environ) -> HairstyleLibrary:
    """The hairstyles of a repository, and those that users added.

    Args:
        folder: of the model's version.
        environment: names in `MIEN_HAIRSTYLES` the folder that users add to; without it they
            cannot.

    Raises:
        ValueError: the library is missing or damaged.
    """
    styles, own = folder / HAIRSTYLES, environment.get(HAIRSTYLES_VARIABLE)
    try:
        with np.load(styles / WIG_STAND, allow_pickle=False) as stand:
            head = Head.of(stand["v_template"], stand["f"], stand["region_scalp"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{styles} holds no hairstyles: {error}; build the repository again: mien-export build"
        ) from error
    return HairstyleLibrary(styles, Path(own) if own else None, head)


class Hairdresser:
    """Puts hairstyles on heads of one model. Safe to use from several threads.

    Args:
        library: of hairstyles.
        asset: of the head model.
    """

    def __init__(self, library: HairstyleLibrary, asset: HeadAsset) -> None:
        self.library = library
        self._head = asset.hair_head()
        self._kept: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Compile kernels, or take them from the cache, so that no request pays for that."""
        for entry in self.library.entries()[:1]:
            vertices = self._head.vertices
            self.hair(entry.name, vertices, (0, 0, 0), HairForm.CARDS, Level.MEDIUM)

    def check(self, name: str) -> None:
        """Refuse a name before anything is worked out.

        Raises:
            ServingError: INVALID_OPTION, there is no such style.
        """
        self.library.entry(name)

    def hair(
        self, name: str, vertices: Array, colour: Colour, form: HairForm, level: Level
    ) -> Hair | None:
        """A style on a head.

        Args:
            name: of the style.
            vertices: (V, 3) metres, the head at rest.
            colour: sRGB 0..1.
            form: what it is made of.
            level: how much of it.

        Returns:
            None where it has too few hairs to be seen in this form.

        Raises:
            ServingError: INVALID_OPTION, there is no such style.
        """
        style, head = self.library.hairstyle(name), self._head.with_vertices(vertices)
        tone = np.array(colour, np.float32)
        if form is HairForm.STRANDS:
            return StrandHair(self._strands(style, head, level).points, tone)
        if form is HairForm.MESH:
            strands = self._placed(style, style.strands, head)
            shell = hair_shell(
                strands, hair_level(level.value).shell_triangles, head=head, colour=tone
            )
            if not len(shell.triangles):
                return None
            tones = tone if shell.colours is None else shell.colours
            return ShellHair(shell.vertices, shell.triangles, tones, shell.normals)
        return self._cards(style, head, tone, level)

    def strands(self, name: str, vertices: Array, level: Level) -> Strands:
        """The hairs of a style on a head, one by one; see `hair`."""
        style = self.library.hairstyle(name)
        return self._strands(style, self._head.with_vertices(vertices), level)

    def _strands(self, style: Hairstyle, head: Head, level: Level) -> Strands:
        limits = hair_level(level.value)
        strands = self._placed(style, style.strands, head)
        return with_points(more_strands(strands, limits.strands), limits.strand_points)

    def _cards(self, style: Hairstyle, head: Head, tone: Array, level: Level) -> CardHair:
        digest, limit = style.entry.sha256, hair_level(level.value).card_triangles
        plan = self._once(("plan", digest, level.value), lambda: plan_cards(style.strands, limit))
        few = self._once(
            ("few", digest, level.value), lambda: strands_for_cards(style.strands, plan)
        )
        strands = self._placed(style, few, head)  # the roots stay where they are
        surface = joined(
            hair_cards(strands, plan, colour=tone), scalp_cap(strands, head, colour=tone)
        )
        assert surface.uv is not None
        assert surface.colours is not None
        return CardHair(
            surface.vertices,
            surface.triangles,
            surface.uv,
            surface.colours,
            EncodedImage(card_texture_png()),
            normals=surface.normals,
        )

    def _placed(self, style: Hairstyle, strands: Strands, head: Head) -> Strands:
        stand = self.library.head
        key = ("roots", style.entry.sha256)
        roots = self._once(key, lambda: bound_roots(style.strands, stand))
        return placed(strands, head, stand, roots=roots)

    def _once(self, key: tuple[str, ...], make: Callable[[], Kept]) -> Kept:
        """What was worked out before, else worked out now."""
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept.pop(key)  # the last used one last
                found: Kept = self._kept[key]
                return found
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return made
