# SPDX-License-Identifier: Apache-2.0
"""What avatars of both clients have in common: how what is asked of one becomes an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypeVar

from mien._avatar_content import AvatarContent
from mien._avatar_order import (
    AvatarFormat,
    AvatarOrder,
    Changes,
    HairColor,
    HairForm,
    Level,
    hair_color_rgb,
    hairstyle_name,
)
from mien._emotions import EMOTIONS, Emotions, emotion_intensities

__all__ = ["AvatarBase", "Change"]

Change: TypeAlias = tuple[AvatarOrder, Changes]
A = TypeVar("A", bound="AvatarBase")


@dataclass(frozen=True, slots=True, eq=False)
class AvatarBase(AvatarContent):
    """An avatar that can be changed. What asks the server adds a maker and the methods."""

    @classmethod
    def of(cls: type[A], content: AvatarContent, maker: Any) -> A:
        """The avatar of this content."""
        values: dict[str, Any] = {
            part.name: getattr(content, part.name) for part in fields(AvatarContent)
        }
        return cls(**values | {"maker": maker})

    def _emotional(self, emotions: Emotions | None, named: Mapping[str, float | None]) -> Change:
        """Emotions in place of all that the face wears.

        Raises:
            InvalidOptionError: an emotion is unknown, or an intensity outside 0..1.
        """
        worn = emotion_intensities(emotions, named) or (0.0,) * len(EMOTIONS)
        return self.order.with_emotions(worn), frozenset({"emotions"})

    def _styled(
        self,
        name: str | None,
        color: HairColor | None,
        form: HairForm | None,
        level: Level | None,
    ) -> Change:
        """Other hair; what is None stays as it is.

        Raises:
            InvalidOptionError: the name is no text, or the colour is none.
        """
        given = {"hairstyle": hairstyle_name(name), "hair_color": hair_color_rgb(color)}
        changes: dict[str, Any] = {
            what: value for what, value in given.items() if value is not None
        }
        order = replace(
            self.order,
            **changes,
            hair_form=form or self.order.hair_form,
            level=level or self.order.level,
        )
        return order, frozenset(changes)

    def _formatted(self, format: AvatarFormat) -> Change:
        """Another file of the same avatar."""
        return self.order.in_format(format), frozenset()
