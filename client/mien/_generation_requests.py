# SPDX-License-Identifier: Apache-2.0
"""Arguments of `generate` -> its request. Pure like `_requests`.

`generate_faces` does not batch: its tensors have no batch axis.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mien._errors import InvalidOptionError
from mien._event_messages import WANT_FINAL
from mien._generated import IdentityToken, NewIdentity
from mien._generation_events import ImageFormat, wanted_outputs
from mien._images import ImageInput
from mien._requests import GENERATE_MODEL, FacePolicy, Rpc, infer_rpc
from mien._tensors import TensorSpec
from mien._types import Embedding

__all__ = [
    "MAX_INT32",
    "MAX_SEED",
    "BlendingOrder",
    "GenerationOrder",
    "IdentityInput",
    "Solver",
    "StyleInput",
    "StylePart",
    "choice",
    "chosen",
    "finite_number",
    "generate_rpc",
    "generation_order",
    "refusal",
    "whole_number",
]

Solver: TypeAlias = Literal["dpm_solver_2m", "ddim", "ddim_uiface"]
BlendingOrder: TypeAlias = Literal["style_first", "identity_first"]
StylePart: TypeAlias = Literal["shape", "texture", "expression", "pose", "camera", "light"]
IdentityInput: TypeAlias = ImageInput | IdentityToken | NewIdentity
StyleInput: TypeAlias = ImageInput | NDArray[np.floating[Any]]


def _spec(name: str, datatype: str, *dims: int) -> TensorSpec:
    return TensorSpec(name, datatype, dims or (1,), is_batched=False)


GENERATE_INPUTS = (
    _spec("identity_image", "BYTES"),
    _spec("identity_token", "BYTES"),
    _spec("identity_seed", "UINT64"),
    _spec("identity_embedding", "FP32", 512),
    _spec("style_image", "BYTES"),
    _spec("style_codes", "FP32", -1, 236),
    _spec("style_parts", "BYTES", -1),
    _spec("replace_shape", "BOOL"),
    _spec("face_policy", "BYTES"),
    _spec("count", "INT32"),
    _spec("seed", "UINT64"),
    _spec("solver", "BYTES"),
    _spec("steps", "INT32"),
    _spec("eta", "FP32"),
    _spec("guidance_weight", "FP32"),
    _spec("switch_at", "INT32"),
    _spec("blending_order", "BYTES"),
    _spec("progress", "BOOL"),
    _spec("preview_every", "INT32"),
    _spec("image_format", "BYTES"),
)
MAX_INT32 = 2**31 - 1
MAX_SEED = 2**64 - 1
_NUM_CODES = 236
_NUM_DIMENSIONS = 512


@dataclass(frozen=True, slots=True)
class GenerationOrder:
    """What `generate` was asked for, checked as far as no file has to be read for it.

    Attributes:
        images: photographs, each with the name of its argument, by input.
        values: of all other inputs that are sent.
        image_format: what faces and previews come as.
        count: faces that must come.
    """

    images: Mapping[str, tuple[ImageInput, str]]
    values: Mapping[str, Any]
    image_format: ImageFormat
    count: int


def generation_order(
    identity: IdentityInput | None,
    *,
    identity_embedding: Embedding | NDArray[np.floating[Any]] | None,
    style: StyleInput | None,
    style_parts: Sequence[StylePart] | None,
    replace_shape: bool | None,
    face_policy: FacePolicy | None,
    count: int | None,
    seed: int | None,
    solver: Solver | None,
    steps: int | None,
    eta: float | None,
    guidance_weight: float | None,
    switch_at: int | None,
    blending_order: BlendingOrder | None,
    progress: bool,
    preview_every: int | None,
    image_format: ImageFormat,
) -> GenerationOrder:
    """Check the arguments of `generate`, whose documentation says what they are.

    Limits that belong to the server, such as the largest count, are left to it.

    Raises:
        InvalidOptionError: one has a value that no server would take.
    """
    number = whole_number("count", count, 1, MAX_INT32)
    images, values = _identity_inputs(identity, identity_embedding)
    style_images, style_values = _style_inputs(style, number or 1)
    values |= {
        **style_values,
        "style_parts": _parts(style_parts),
        "replace_shape": replace_shape,
        "face_policy": choice("face_policy", face_policy, get_args(FacePolicy)),
        "count": number,
        "seed": whole_number("seed", seed, 0, MAX_SEED),
        "solver": choice("solver", solver, get_args(Solver)),
        "steps": whole_number("steps", steps, 1, MAX_INT32),
        "eta": finite_number("eta", eta),
        "guidance_weight": finite_number("guidance_weight", guidance_weight),
        "switch_at": whole_number("switch_at", switch_at, 0, MAX_INT32),
        "blending_order": choice("blending_order", blending_order, get_args(BlendingOrder)),
        "progress": progress,
        "preview_every": whole_number("preview_every", preview_every, 0, MAX_INT32),
        "image_format": chosen("image_format", image_format, get_args(ImageFormat)),
    }
    return GenerationOrder(images | style_images, values, image_format, number or 1)


def generate_rpc(order: GenerationOrder, images: Mapping[str, bytes]) -> Rpc:
    """The inference that generates faces.

    Args:
        order: what was asked for.
        images: its photographs, encoded, by input.
    """
    values = {**order.values, **images}
    rpc = infer_rpc(
        GENERATE_MODEL,
        GENERATE_INPUTS,
        [values.get(spec.name) for spec in GENERATE_INPUTS],
        wanted_outputs(order.image_format),
        method="ModelStreamInfer",
    )
    rpc.request.parameters[WANT_FINAL].bool_param = True
    return rpc


def _identity_inputs(
    identity: IdentityInput | None, embedding: Embedding | NDArray[np.floating[Any]] | None
) -> tuple[dict[str, tuple[ImageInput, str]], dict[str, Any]]:
    """Photographs and values that say who."""
    if (identity is None) == (embedding is None):
        raise refusal(
            f"{'neither' if identity is None else 'both'} of identity and identity_embedding came; "
            "exactly one may. Pass a photograph, an IdentityToken or NewIdentity(seed) as identity"
        )
    if embedding is not None:
        return {}, {"identity_embedding": _vector(embedding)}
    if isinstance(identity, IdentityToken):
        return {}, {"identity_token": str(identity).encode()}
    if isinstance(identity, NewIdentity):
        return {}, {
            "identity_seed": whole_number("seed of NewIdentity", identity.seed, 0, MAX_SEED)
        }
    if isinstance(identity, Embedding) or _is_floating(identity):
        raise refusal(
            f"identity is {_named(identity)}, which may be somebody's template; pass a photograph, "
            "or the embedding as identity_embedding=, which servers refuse unless told otherwise"
        )
    return {"identity_image": (cast(ImageInput, identity), "identity")}, {}


def _vector(embedding: Embedding | NDArray[np.floating[Any]]) -> NDArray[Any]:
    vector = embedding.vector if isinstance(embedding, Embedding) else embedding
    if not _is_floating(vector) or vector.shape != (_NUM_DIMENSIONS,):
        raise refusal(
            f"identity_embedding is {_named(vector)}; expected an Embedding, or an array of "
            f"floating-point numbers of the shape ({_NUM_DIMENSIONS},). `embed` makes one"
        )
    return vector


def _style_inputs(
    style: StyleInput | None, count: int
) -> tuple[dict[str, tuple[ImageInput, str]], dict[str, Any]]:
    """Photographs and values that say how."""
    if style is None:
        return {}, {}
    if not _is_floating(style):
        return {"style_image": (cast(ImageInput, style), "style")}, {}
    codes = np.atleast_2d(cast(NDArray[Any], style))
    if codes.ndim != 2 or codes.shape[1] != _NUM_CODES or len(codes) not in (1, count):
        raise refusal(
            f"style is {_named(style)}; expected codes of the shape ({_NUM_CODES},), or "
            f"({count}, {_NUM_CODES}) for one style per face, or a photograph. The codes of a "
            "GeneratedFace or FittedFace are such"
        )
    return {}, {"style_codes": codes}


def _parts(parts: Sequence[StylePart] | None) -> list[bytes] | None:
    if parts is None:
        return None
    allowed = get_args(StylePart)
    unknown = [part for part in parts if part not in allowed]
    if unknown or not parts:
        raise refusal(
            f"style_parts is {parts!r}; allowed are some of {', '.join(map(repr, allowed))}. Leave "
            "it out for all of them"
        )
    return [part.encode() for part in parts]


def choice(name: str, value: str | None, allowed: Sequence[str]) -> bytes | None:
    """`value` as it is sent, where it is left out or one of `allowed`.

    Raises:
        InvalidOptionError: it is something else.
    """
    return None if value is None else chosen(name, value, allowed)


def chosen(name: str, value: str, allowed: Sequence[str]) -> bytes:
    """`value` as it is sent, where it is one of `allowed`.

    Raises:
        InvalidOptionError: it is something else.
    """
    if value not in allowed:
        raise refusal(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
    return value.encode()


def whole_number(name: str, value: int | None, low: int, high: int) -> int | None:
    """`value` itself, where it is left out or a whole number between `low` and `high`.

    Raises:
        InvalidOptionError: it is something else.
    """
    if value is None:
        return None
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise refusal(
            f"{name} is {value!r}; allowed are whole numbers from {low} to {high}. Leave it out "
            "for the server's default"
        )
    return number


def finite_number(name: str, value: float | None) -> float | None:
    """`value` itself, where it is left out or finite.

    Raises:
        InvalidOptionError: it is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise refusal(
            f"{name} is {value!r}; expected a finite number. Leave it out for the server's default"
        )
    return value


def _is_floating(value: object) -> bool:
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating)


def _named(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    return f"a {type(value).__name__}"


def refusal(message: str) -> InvalidOptionError:
    """What refuses an argument before anything is sent."""
    return InvalidOptionError(message, code="INVALID_OPTION")
