# SPDX-License-Identifier: Apache-2.0
"""The stage `style_renderer` on arrays: what its `model.py` answers requests with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.contract import ModelContract
from mien_server.errors import ServingError
from mien_server.rendering import Scene, Topology, make_scene, rgba_images, style_maps

__all__ = [
    "RENDER_INPUTS",
    "RENDER_OUTPUTS",
    "HeadRenderer",
    "RenderRequest",
    "render_requests",
    "renderer_from_contract",
]

Array = NDArray[Any]

TOPOLOGY_FILE = "topology.npz"
RENDER_INPUTS = ("vertices", "albedo", "camera", "light")
RENDER_OUTPUTS: Mapping[str, Callable[[Scene], Array]] = {
    "style_maps": style_maps,
    "rgba_224": partial(rgba_images, size=224),
    "rgba_512": partial(rgba_images, size=512),
}
ALBEDO_SIDE = 256


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """One Triton request.

    Attributes:
        inputs: `RENDER_INPUTS`, B heads each.
        outputs: names of the tensors the caller wants.
    """

    inputs: Mapping[str, Array]
    outputs: frozenset[str]

    @property
    def count(self) -> int:
        """B."""
        return len(self.inputs["vertices"])


class HeadRenderer:
    """Heads of one topology to images, several at once on a CPU.

    Making one compiles the kernels, or takes them from the cache, and draws a first head, so that
    no request pays for that.

    Args:
        topology: of every head.
        device: Warp's name, such as "cpu" or "cuda:0".
        threads: heads drawn at once on a CPU.

    Raises:
        ValueError: there is no such device.
        RuntimeError: the folder of compiled kernels cannot be written.
    """

    def __init__(self, topology: Topology, *, device: str = "cpu", threads: int = 1) -> None:
        self.topology = topology
        self._device = device
        # One queue per GPU: there, a batch is one launch.
        self._threads = threads if device == "cpu" else 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="renderer")
        self.render(_nothing(topology), frozenset(RENDER_OUTPUTS))

    def render(self, inputs: Mapping[str, Array], outputs: frozenset[str]) -> dict[str, Array]:
        """Images of B heads.

        Args:
            inputs: `RENDER_INPUTS`, batch first, in the units of the config.
            outputs: those of `RENDER_OUTPUTS` to compute.

        Raises:
            ValueError: an array has a shape that is not allowed.
        """
        workers = min(self._threads, len(inputs["vertices"]))
        if workers <= 1:
            return self._render(inputs, outputs)
        pieces = {name: np.array_split(inputs[name], workers) for name in RENDER_INPUTS}
        shares = [{name: pieces[name][i] for name in RENDER_INPUTS} for i in range(workers)]
        rendered = list(self._pool.map(lambda share: self._render(share, outputs), shares))
        return {name: np.concatenate([part[name] for part in rendered]) for name in outputs}

    def _render(self, inputs: Mapping[str, Array], outputs: frozenset[str]) -> dict[str, Array]:
        scene = make_scene(
            inputs["vertices"],
            inputs["albedo"],
            inputs["camera"],
            inputs["light"],
            self.topology,
            device=self._device,
        )
        return {name: RENDER_OUTPUTS[name](scene) for name in outputs}


def renderer_from_contract(contract: ModelContract, folder: Path, *, threads: int) -> HeadRenderer:
    """The renderer that `style_renderer/config.pbtxt` describes.

    Args:
        contract: of style_renderer.
        folder: of the model's version, which holds `topology.npz`.
        threads: heads drawn at once.

    Raises:
        ValueError: the topology is missing or broken, or a parameter has a value that is not
            allowed.
        RuntimeError: the folder of compiled kernels cannot be written.
    """
    return HeadRenderer(
        Topology.read(folder / TOPOLOGY_FILE), device=contract.parameter("device"), threads=threads
    )


def render_requests(
    renderer: HeadRenderer, requests: Sequence[RenderRequest]
) -> list[dict[str, Array] | ServingError]:
    """Render the heads of all requests together, those with equal wishes in one go.

    Returns:
        Per request its output tensors, batch first, or the refusal that fails it.
    """
    answers: dict[int, dict[str, Array] | ServingError] = {}
    alike: dict[frozenset[str], list[int]] = {}
    for index, request in enumerate(requests):
        refusal = _refusal(request, renderer.topology)
        if refusal is not None:
            answers[index] = refusal
        else:
            alike.setdefault(request.outputs, []).append(index)
    for outputs, indices in alike.items():
        group = [requests[index] for index in indices]
        rendered = renderer.render(_joined(group), outputs)
        start = 0
        for index, request in zip(indices, group, strict=True):
            rows = slice(start, start + request.count)
            answers[index] = {name: array[rows] for name, array in rendered.items()}
            start = rows.stop
    return [answers[index] for index in range(len(requests))]


def _joined(requests: Sequence[RenderRequest]) -> Mapping[str, Array]:
    if len(requests) == 1:
        return requests[0].inputs
    return {
        name: np.concatenate([request.inputs[name] for request in requests])
        for name in RENDER_INPUTS
    }


def _refusal(request: RenderRequest, topology: Topology) -> ServingError | None:
    """What is wrong with a request, None where nothing is."""
    vertex_count = request.inputs["vertices"].shape[1]
    if vertex_count != topology.vertex_count:
        return ServingError(
            "INVALID_TENSOR",
            f"vertices has {vertex_count} vertices a head; this renderer was built for a head "
            f"of {topology.vertex_count}. Send those of this repository's flame_decoder",
        )
    for name in RENDER_INPUTS:
        tensor = request.inputs[name]
        finite = np.isfinite(tensor.reshape(len(tensor), -1)).all(axis=1)
        if not finite.all():
            return _about(
                request, int(finite.argmin()), f"{name} has NaN or infinity; send finite numbers"
            )
    scales = request.inputs["camera"][:, 0]
    if (scales <= 0).any():
        index = int((scales <= 0).argmax())
        return _about(
            request,
            index,
            f"camera has the scale {scales[index]:.4g}; it must be above 0, about 5 to 11 for a "
            "head in metres",
        )
    return None


def _about(request: RenderRequest, index: int, text: str) -> ServingError:
    refusal = ServingError("INVALID_TENSOR", text)
    return refusal.about(f"head {index + 1} of {request.count}") if request.count > 1 else refusal


def _nothing(topology: Topology) -> dict[str, Array]:
    """A head of no size."""
    return {
        "vertices": np.zeros((1, topology.vertex_count, 3), np.float32),
        "albedo": np.zeros((1, 3, ALBEDO_SIDE, ALBEDO_SIDE), np.float32),
        "camera": np.array([[1.0, 0.0, 0.0]], np.float32),
        "light": np.zeros((1, 27), np.float32),
    }
