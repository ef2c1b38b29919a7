# SPDX-License-Identifier: Apache-2.0
"""The pipeline `fit_faces` on arrays: a head model fitted to the face of each photograph.

face_cropper -> deca_encoder and mica_encoder -> flame_decoder, and for the overlay texture_decoder
beside it, then style_renderer. All photographs of a batch go through each of them in one call;
those that are refused go no further than the first. Letters: N photographs, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.batch_answers import Answer, answers_of_rows, text_rows
from mien_server.deca_codes import CODE_COUNT, code_parts, head_inputs
from mien_server.deca_crop import DECA_SIZE_PX
from mien_server.errors import ServingError
from mien_server.fit_encoding import FitEncoders, encoded_faces, sources_of
from mien_server.images import ImageLimits, decode_image
from mien_server.model_call import CallModels, ModelCall
from mien_server.options import OnError
from mien_server.overlay import draw_overlay, framing_cameras, image_from_render
from mien_server.rendering import pixels_from_image, project
from mien_server.shape_sources import SHAPE_COUNT, refitted_cameras
from mien_server.warping import moved

__all__ = ["FitRequest", "fit_requests"]

Array = NDArray[Any]

FOUND_OUTPUTS = ("box_xyxy", "landmarks", "landmarks_68", "face_count", "error")
CROPPER_OUTPUTS = ("face_224", "image_from_face_224", *FOUND_OUTPUTS)
LANDMARKS = "contour_landmarks_3d"
HEAD_OUTPUTS = ("vertices", LANDMARKS)
# face_cropper has looked at the header already.
NO_LIMITS = ImageLimits(max_pixels=2**62, max_bytes=2**62, min_side_px=1)


@dataclass(frozen=True, slots=True)
class FitRequest:
    """One Triton request of B photographs.

    Attributes:
        image: (B, 1) encoded photographs.
        policies: B face policies.
        on_error: B values of the option; they must agree.
        shape_sources: B values of the option; "" is the best there is.
        outputs: names of the tensors the caller wants.
    """

    image: Array
    policies: list[str]
    on_error: list[str]
    shape_sources: list[str]
    outputs: frozenset[str]


def fit_requests(
    requests: Sequence[FitRequest],
    call_models: CallModels,
    *,
    encoders: FitEncoders,
    untrained: bool,
) -> list[Answer]:
    """Fit the photographs of all requests with one call of each model.

    Args:
        requests: the batch.
        call_models: makes calls of other models at once.
        encoders: what codes and shapes are read with.
        untrained: handed through to the caller.

    Returns:
        Per request its output tensors, batch first, or the refusal that fails it.

    Raises:
        ServingError: a shared call itself failed.
    """
    image = np.concatenate([request.image for request in requests])
    policies = list(chain.from_iterable(request.policies for request in requests))
    wants_overlay = np.concatenate(
        [np.full(len(request.image), "overlay" in request.outputs) for request in requests]
    )
    asked = list(chain.from_iterable(request.shape_sources for request in requests))
    sources, refusals = sources_of(asked, encoders)
    faces = dict(call_models([_crop_call(image, policies, has_mica=encoders.has_mica)])[0])
    faces |= {"image": image[:, 0], "wants_overlay": wants_overlay, "source": sources}
    faces["error"] = np.where(refusals == b"", faces["error"], refusals)
    faces |= encoded_faces(faces, encoders, call_models)
    good = np.flatnonzero(faces["error"][:, 0] == b"")
    rows = {name: faces[name] for name in FOUND_OUTPUTS} | _no_fits(len(image))
    if good.size:
        fits = _fits({name: array[good] for name, array in faces.items()}, call_models)
        rows |= {name: _spread(array, good, len(image)) for name, array in fits.items()}
    rows["untrained"] = np.full((len(image), 1), untrained)
    answers = answers_of_rows(
        [request.on_error for request in requests], rows, callee="face_cropper", item="image"
    )
    return [_answer(request, own) for request, own in zip(requests, answers, strict=True)]


def _crop_call(image: Array, policies: Sequence[str], *, has_mica: bool) -> ModelCall:
    on_error = [OnError.REPORT.value] * len(image)
    texts = {"face_policy": policies, "on_error": on_error}
    inputs = {name: text_rows([text.encode() for text in of]) for name, of in texts.items()}
    outputs = ("crop_112", *CROPPER_OUTPUTS) if has_mica else CROPPER_OUTPUTS
    return ModelCall("face_cropper", {"image": image, **inputs}, outputs)


def _fits(faces: Mapping[str, Array], call_models: CallModels) -> dict[str, Array]:
    """Outputs of N faces with codes; the overlay is empty where it is not wanted."""
    shape, to_image = faces["shape"], faces["image_from_face_224"]
    drawn = np.flatnonzero(faces["wants_overlay"])
    reshaped = np.flatnonzero(faces["is_reshaped"])
    calls = [ModelCall("flame_decoder", head_inputs(faces["codes"], shape), HEAD_OUTPUTS)]
    if reshaped.size:
        own = head_inputs(faces["codes"][reshaped])
        calls.append(ModelCall("flame_decoder", own, (LANDMARKS,)))
    if drawn.size:
        texture = {"texture": code_parts(faces["codes"])["texture"][drawn]}
        calls.append(ModelCall("texture_decoder", texture, ("albedo",)))
    head, *others = call_models(calls)
    codes = faces["codes"].copy()
    parts = code_parts(codes)  # views
    parts["shape"][:] = shape[:, : parts["shape"].shape[1]]
    if reshaped.size:
        before, after = others.pop(0)[LANDMARKS], head[LANDMARKS][reshaped]
        parts["camera"][reshaped] = refitted_cameras(parts["camera"][reshaped], before, after)
    landmarks = _in_image(head[LANDMARKS], parts["camera"], to_image)[..., :2]
    fits = {
        "codes": codes,
        "shape": shape,
        "vertices": head["vertices"],
        "vertices_px": _in_image(head["vertices"], parts["camera"], to_image),
        "fitted_landmarks_68": landmarks,
        "overlay": text_rows([b""] * len(codes)),
    }
    for textures in others:
        sources = {
            "image": faces["image"][drawn],
            "image_from_face_224": to_image[drawn],
            "vertices": head["vertices"][drawn],
            "camera": parts["camera"][drawn],
            "light": parts["light"][drawn],
            "landmarks": landmarks[drawn],
        }
        fits["overlay"][drawn] = text_rows(_overlays({**sources, **textures}, call_models))
    return fits


def _overlays(sources: Mapping[str, Array], call_models: CallModels) -> list[bytes]:
    """One PNG per face."""
    framing = framing_cameras(sources["vertices"])
    inputs = {name: sources[name] for name in ("vertices", "albedo", "light")}
    render = ModelCall("style_renderer", {**inputs, "camera": framing}, ("rgba_512",))
    rendered = call_models([render])[0]["rgba_512"]
    overlays = []
    for index, rgba in enumerate(rendered):
        image_from_rgba = image_from_render(
            framing[index],
            sources["camera"][index],
            sources["image_from_face_224"][index],
            render_px=rgba.shape[-1],
            crop_px=DECA_SIZE_PX,
        )
        photograph = decode_image(bytes(sources["image"][index]), NO_LIMITS)
        overlays.append(
            draw_overlay(photograph, rgba, image_from_rgba, sources["landmarks"][index])
        )
    return overlays


def _in_image(points: Array, cameras: Array, image_from_crop: Array) -> Array:
    """Points of the head in pixels of the photograph, z away from the viewer in the same scale.

    Args:
        points: (N, P, 3) metres.
        cameras: (N, 3).
        image_from_crop: (N, 2, 3).

    Returns:
        (N, P, 3) float32.
    """
    seen = project(points, cameras)
    in_crops = pixels_from_image(seen, width=DECA_SIZE_PX, height=DECA_SIZE_PX)
    in_images = [moved(back, each) for back, each in zip(image_from_crop, in_crops, strict=True)]
    enlargement = np.sqrt(np.abs(np.linalg.det(image_from_crop[..., :2])))
    depths = seen[..., 2] * (DECA_SIZE_PX / 2 * enlargement[:, None])
    pixels: Array = np.concatenate([in_images, depths[..., None]], axis=-1).astype(np.float32)
    return pixels


def _no_fits(count: int) -> dict[str, Array]:
    """Outputs where nothing could be fitted: heads of no vertices."""
    shapes = {
        "codes": (CODE_COUNT,),
        "shape": (SHAPE_COUNT,),
        "vertices": (0, 3),
        "vertices_px": (0, 3),
        "fitted_landmarks_68": (68, 2),
    }
    return {
        **{name: np.full((count, *shape), np.nan, np.float32) for name, shape in shapes.items()},
        "overlay": text_rows([b""] * count),
    }


def _spread(array: Array, places: NDArray[np.intp], count: int) -> Array:
    """The rows of the array at their places among `count`, the others NaN or empty."""
    filler: Any = b"" if array.dtype == np.object_ else np.nan
    spread = np.full((count, *array.shape[1:]), filler, array.dtype)
    spread[places] = array
    return spread


def _answer(request: FitRequest, answer: Answer) -> Answer:
    """What the caller asked for, of heads that are its own."""
    if isinstance(answer, ServingError):
        return answer
    errors = answer["error"][:, 0]
    if all(errors):  # what others of the batch are fitted with is not this request's to know
        answer |= _no_fits(len(errors))
    return {name: answer[name] for name in request.outputs}
