# SPDX-License-Identifier: Apache-2.0
"""What is measured of each recipe's graphs; those of single networks are in `direct`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mien_export.head_model import read_head
from mien_starter.evaluation.autoencoders import measure_autoencoder
from mien_starter.evaluation.denoisers import known_faces, measure_denoiser
from mien_starter.evaluation.direct import MEASURES
from mien_starter.evaluation.held_out import HeldOut
from mien_starter.evaluation.networks import Predict, run_predictors
from mien_starter.evaluation.strands import measure_strands
from mien_starter.face_reader import shipped_reader
from mien_starter.grooms import Grooms
from mien_starter.recipes.deca_encoder import HEAD

__all__ = ["GraphsMeasure", "measure_of"]

GraphsMeasure = Callable[[Mapping[str, Predict]], Mapping[str, float]]


def measure_of(name: str, photographs: HeldOut, autoencoder: Path) -> GraphsMeasure:
    """What to call with the graphs of a recipe, trained ones or random ones.

    Args:
        name: of the recipe.
        photographs: held out; of hair_vae, hairstyles.
        autoencoder: folder of its run, in whose latents face_denoiser works.

    Raises:
        StarterError: a network that others are measured with is missing.
    """
    if isinstance(photographs, Grooms):
        grooms = photographs
        return lambda predict: measure_strands(
            lambda maps: predict["hair_vae_decoder"](*predict["hair_vae_encoder"](maps)), grooms
        )
    if name == "autoencoder":
        recognize = shipped_reader().recognize
        return lambda predict: measure_autoencoder(predict, recognize, photographs)
    if name == "face_denoiser":
        halves, reader = run_predictors("autoencoder", autoencoder), shipped_reader()
        faces = known_faces(photographs, halves["latent_encoder"], reader)
        decode = halves["latent_decoder"]
        return lambda predict: measure_denoiser(predict, decode, reader, faces)
    measure, head = MEASURES[name], read_head(HEAD)
    return lambda predict: measure(predict[name], photographs, head)
