# SPDX-License-Identifier: Apache-2.0
"""Hairstyles, of the library or somebody's own, on a head, in the form a file holds.

What depends on the style alone is worked out once: where its roots are on the head that it was made
on, and which strands its cards follow. Letters: V vertices of the head.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage
from mien_server.avatar.card_plans import CardPlans
from mien_server.avatar.choices import HairForm, Level
from mien_server.avatar.hair_geometry import CardHair, Hair, ShellHair, StrandHair
from mien_server.avatar.head_asset import HeadAsset
from mien_server.hair.card_plan import CardPlan, strands_for_cards
from mien_server.hair.card_texture import card_texture_png
from mien_server.hair.cards import hair_cards
from mien_server.hair.head import Head
from mien_server.hair.levels import hair_level
from mien_server.hair.library import HairstyleLibrary
from mien_server.hair.library_index import HairstyleEntry
from mien_server.hair.more_strands import more_strands
from mien_server.hair.own_styles import HAIRSTYLES_VARIABLE
from mien_server.hair.placing import bound_roots, placed
from mien_server.hair.polylines import with_points
from mien_server.hair.scalp_cap import scalp_cap
from mien_server.hair.shell import hair_shell
from mien_server.hair.strands import Strands
from mien_server.hair.surface import joined

__all__ = ["Hairdresser", "WornStyle", "read_library"]

HAIRSTYLES, WIG_STAND = "hairstyles", "head.npz"
KEPT = 128  # things worked out about styles, a megabyte each at most

Kept = TypeVar("Kept")
Array = NDArray[Any]
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class WornStyle:
    """A hairstyle to be put on a head.

    Attributes:
        strands: S, 1 or more, in the frame of the library's head.
        digest: says which style it is; equal digests mean equal strands.
    """

    strands: Strands
    digest: str


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


@dataclass(frozen=True, slots=True, eq=False)
class _Style:
    """A style that may still lie in its file, and where plans of its cards are kept."""

    digest: str
    strands: Callable[[], Strands]
    plans: CardPlans


@dataclass(frozen=True, slots=True, eq=False)
class _Cards:
    """A plan, and the strands it leads."""

    plan: CardPlan
    strands: Strands


class Hairdresser:
    """Puts hairstyles on heads of one model. Safe to use from several threads.

    Args:
        library: of hairstyles.
        asset: of the head model.
        plans: of cards; by default none are kept.
    """

    def __init__(
        self, library: HairstyleLibrary, asset: HeadAsset, plans: CardPlans | None = None
    ) -> None:
        self.library = library
        self._plans = plans or CardPlans(None)
        self._head = asset.hair_head()
        self._kept: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Compile kernels, or take them from the cache, so that no request pays for that."""
        for entry in self.library.entries()[:1]:
            vertices = self._head.vertices
            self.hair(entry.name, vertices, (0, 0, 0), HairForm.CARDS, Level.MEDIUM)

    def prepare(self, entry: HairstyleEntry, level: Level, *, keep: bool) -> bool:
        """Work out what the cards of a style need, so that nobody who asks for them pays for that.

        Args:
            entry: of the library.
            level: how much of it.
            keep: here, so that it need not be read from the disk either.

        Returns:
            False where another process is making plans: it may be this one, so ask again.

        Raises:
            ServingError: INVALID_OPTION, the style was removed meanwhile.
            ValueError: its file is missing or damaged.
        """
        style = self._of(entry)
        if not self._plans.has(style.digest, hair_level(level.value).card_triangles):
            with self._plans.turn() as is_ours:
                if not is_ours:
                    return False
                self._cards(style, level)
        if keep:
            self._cards(style, level)
            self._roots(style)
        return True

    def check(self, name: str) -> None:
        """Refuse a name before anything is worked out.

        Raises:
            ServingError: INVALID_OPTION, there is no such style.
        """
        self.library.entry(name)

    def hair(
        self,
        worn: str | WornStyle,
        vertices: Array,
        colour: Colour,
        form: HairForm,
        level: Level,
    ) -> Hair | None:
        """A style on a head.

        Args:
            worn: the style, or its name in the library.
            vertices: (V, 3) metres, the head at rest.
            colour: sRGB 0..1.
            form: what it is made of.
            level: how much of it.

        Returns:
            None where it has too few hairs to be seen in this form.

        Raises:
            ServingError: INVALID_OPTION, there is no such style.
        """
        style, head = self._style(worn), self._head.with_vertices(vertices)
        tone = np.array(colour, np.float32)
        if form is HairForm.STRANDS:
            return StrandHair(self.strands(worn, vertices, level).points, tone)
        if form is HairForm.MESH:
            return self._shell(style, head, tone, level)
        return self._card_hair(style, head, tone, level)

    def strands(self, worn: str | WornStyle, vertices: Array, level: Level) -> Strands:
        """The hairs of a style on a head, one by one; see `hair`."""
        limits = hair_level(level.value)
        guides = self.guides(worn, vertices)
        return with_points(more_strands(guides, limits.strands), limits.strand_points)

    def guides(self, worn: str | WornStyle, vertices: Array) -> Strands:
        """The strands of a style, and no others between them, on a head; see `hair`."""
        style, head = self._style(worn), self._head.with_vertices(vertices)
        return self._placed(style, style.strands(), head)

    def _shell(self, style: _Style, head: Head, tone: Array, level: Level) -> ShellHair | None:
        strands = self._placed(style, style.strands(), head)
        shell = hair_shell(strands, hair_level(level.value).shell_triangles, head=head, colour=tone)
        if not len(shell.triangles):
            return None
        tones = tone if shell.colours is None else shell.colours
        return ShellHair(shell.vertices, shell.triangles, tones, shell.normals)

    def _card_hair(self, style: _Style, head: Head, tone: Array, level: Level) -> CardHair:
        cards = self._cards(style, level)
        strands = self._placed(style, cards.strands, head)  # the roots stay where they are
        surface = joined(
            hair_cards(strands, cards.plan, colour=tone), scalp_cap(strands, head, colour=tone)
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

    def _style(self, worn: str | WornStyle) -> _Style:
        if isinstance(worn, WornStyle):  # nobody else will wear it: no plan is kept on a disk
            return _Style(worn.digest, lambda: worn.strands, CardPlans(None))
        return self._of(self.library.entry(worn))

    def _of(self, entry: HairstyleEntry) -> _Style:
        return _Style(entry.sha256, lambda: self.library.hairstyle(entry.name).strands, self._plans)

    def _cards(self, style: _Style, level: Level) -> _Cards:
        def make() -> _Cards:
            strands, limit = style.strands(), hair_level(level.value).card_triangles
            plan = style.plans.plan(style.digest, strands, limit)
            return _Cards(plan, strands_for_cards(strands, plan))

        return self._once(("cards", style.digest, level.value), make)

    def _placed(self, style: _Style, strands: Strands, head: Head) -> Strands:
        return placed(strands, head, self.library.head, roots=self._roots(style))

    def _roots(self, style: _Style) -> Any:
        stand = self.library.head
        return self._once(("roots", style.digest), lambda: bound_roots(style.strands(), stand))

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
