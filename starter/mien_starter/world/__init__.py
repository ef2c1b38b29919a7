# SPDX-License-Identifier: Apache-2.0
"""The world of synthetic people: photographs of which everything is known."""

from mien_starter.world.world import Photograph, World

__all__ = ["Photograph", "World"]
