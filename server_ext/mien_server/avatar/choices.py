# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about an avatar, by the words of its contracts."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "EMOTIONS",
    "NO_HAIR",
    "OWN_HAIR",
    "Compression",
    "Expression",
    "FacePolicy",
    "FileFormat",
    "HairForm",
    "Level",
    "Output",
]

EMOTIONS = ("happiness", "anger", "sadness", "fear", "contempt", "surprise")
NO_HAIR, OWN_HAIR = "none", "own"


class Expression(Enum):
    """What an avatar wears as it is opened."""

    DETECTED = "detected"
    NEUTRAL = "neutral"
    EMOTIONS = "emotions"


class HairForm(Enum):
    """What hair is made of."""

    CARDS = "cards"
    STRANDS = "strands"
    MESH = "mesh"


class Level(Enum):
    """How much of hair is written; see `mien_server.hair.levels`."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class FileFormat(Enum):
    """Of the file."""

    GLB = "glb"
    ZIP = "zip"
    PLY = "ply"


class Compression(Enum):
    """Of a GLB."""

    NONE = "none"
    DRACO = "draco"


class FacePolicy(Enum):
    """Which face of a photograph is meant."""

    LARGEST = "largest"
    SINGLE = "single"


class Output(Enum):
    """What `apply_emotion` makes."""

    FILE = "file"
    MORPH = "morph"
