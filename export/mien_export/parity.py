# SPDX-License-Identifier: Apache-2.0
"""Does a converted graph compute what its source computes?

Compared in this order, stopping at the first kind that differs: names, dtypes, shapes, values.
Values are judged per output in the terms of the task: embeddings by cosine, geometry by pixels.
Letters: B batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from mien_export.contract import ModelContract, TensorSpec
from mien_export.diffusion_examples import DIFFUSION_EXAMPLES, example_normals
from mien_export.errors import ParityError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be off, and why that far.

    Attributes:
        reason: what the figures follow from.
        min_cosine: smallest cosine between corresponding rows (all axes but the batch).
        max_abs: largest absolute difference of an element.
        max_relative: largest length of the difference of corresponding rows, in lengths of the
            wanted one.
    """

    reason: str
    min_cosine: float | None = None
    max_abs: float | None = None
    max_relative: float | None = None


Tolerances = Mapping[str, Tolerance]


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found; true where everything is within tolerance."""

    outputs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    batches: tuple[int, ...] = ()
    failures: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.failures

    def raise_if_failed(self, what: str) -> None:
        """Raise ParityError naming the graph and every failure."""
        if self.failures:
            raise ParityError(
                f"{what} does not compute what its source does: {'; '.join(self.failures)}. "
                "Nothing was published. Leave this precision out, or use other weights."
            )

    def to_manifest(self, tolerances: Tolerances) -> dict[str, Any]:
        """Give the JSON form: figures beside the tolerances they were held against."""
        allowed = {
            name: {key: value for key, value in vars(item).items() if value is not None}
            for name, item in tolerances.items()
        }
        outputs = {name: dict(figures) for name, figures in self.outputs.items()}
        return {"batches": list(self.batches), "outputs": outputs, "tolerances": allowed}


def compare(
    reference: Sequence[Arrays], candidate: Sequence[Arrays], tolerances: Tolerances
) -> ParityReport:
    """Compare two lists of outputs, case by case.

    Args:
        reference: outputs of the source, one mapping per case, each array (B, ...).
        candidate: outputs of the converted graph for the same inputs.
        tolerances: one entry per output.
    """
    figures: dict[str, dict[str, float]] = {}
    failures: list[str] = []
    for wanted, found in zip(reference, candidate, strict=True):
        problems = _interface_problems(wanted, found, tolerances)
        failures += problems
        for name in () if problems else tolerances:
            case = _figures(wanted[name], found[name])
            failures += _value_problems(name, case, tolerances[name])
            figures[name] = _worst(figures.get(name), case)
    batches = tuple(len(next(iter(case.values()))) for case in reference)
    return ParityReport(figures, batches, tuple(dict.fromkeys(failures)))


def _interface_problems(wanted: Arrays, found: Arrays, tolerances: Tolerances) -> list[str]:
    if sorted(wanted) != sorted(found) or sorted(wanted) != sorted(tolerances):
        return [f"outputs are {sorted(found)}, expected {sorted(wanted)}"]
    names = sorted(wanted)
    dtypes = [
        f"{name} is {found[name].dtype}, expected {wanted[name].dtype}"
        for name in names
        if found[name].dtype != wanted[name].dtype
    ]
    shapes = [
        f"{name} has shape {found[name].shape}, expected {wanted[name].shape}"
        for name in names
        if found[name].shape != wanted[name].shape
    ]
    return dtypes or shapes


def _figures(wanted: Array, found: Array) -> dict[str, float]:
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return dict.fromkeys(("min_cosine", "max_abs", "max_relative"), float("nan"))
    a = wanted.reshape(len(wanted), -1).astype(np.float64)
    b = found.reshape(len(found), -1).astype(np.float64)
    lengths, off = np.linalg.norm(a, axis=1), np.linalg.norm(a - b, axis=1)
    norms = lengths * np.linalg.norm(b, axis=1)
    # A row of zeros has no direction: it equals another one or it does not; its length counts as 1.
    cosines = np.where(norms > 0, (a * b).sum(axis=1), (a == b).all(axis=1))
    cosines = cosines / np.where(norms > 0, norms, 1.0)
    relative = off / np.where(lengths > 0, lengths, 1.0)
    return {
        "min_cosine": float(cosines.min()),
        "max_abs": float(np.abs(a - b).max()),
        "max_relative": float(relative.max()),
    }


def _worst(before: dict[str, float] | None, case: dict[str, float]) -> dict[str, float]:
    if before is None:
        return case
    return {
        "min_cosine": min(before["min_cosine"], case["min_cosine"]),
        "max_abs": max(before["max_abs"], case["max_abs"]),
        "max_relative": max(before["max_relative"], case["max_relative"]),
    }


def _value_problems(name: str, case: dict[str, float], tolerance: Tolerance) -> list[str]:
    if not np.isfinite(case["max_abs"]):
        return [f"{name} has NaN or infinite values"]
    problems = []
    if tolerance.min_cosine is not None and case["min_cosine"] < tolerance.min_cosine:
        problems.append(
            f"{name} has cosine {case['min_cosine']:.6f}, expected at least {tolerance.min_cosine}"
        )
    if tolerance.max_abs is not None and case["max_abs"] > tolerance.max_abs:
        problems.append(
            f"{name} is off by {case['max_abs']:.3g}, expected at most {tolerance.max_abs:g}"
        )
    if tolerance.max_relative is not None and case["max_relative"] > tolerance.max_relative:
        problems.append(
            f"{name} is off by {case['max_relative']:.3g} of its length, expected at most "
            f"{tolerance.max_relative:g}"
        )
    return problems


def run_onnx(path: Path, cases: Sequence[Arrays]) -> list[dict[str, Array]]:
    """Run a graph on onnxruntime's CPU provider, once per case."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: the build reports in its own words
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, dict(case)), strict=True)) for case in cases]


def example_images(
    batch_size: int, px: int, seed: int, channels: int = 3
) -> npt.NDArray[np.float32]:
    """Make images that look like photographs to a network: smooth, coloured, full range.

    Args:
        batch_size: B.
        px: side in pixels.
        seed: the same seed gives the same images.
        channels: C, 3 for RGB, 1 for grey.

    Returns:
        (B, C, px, px) 0..255.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (batch_size, channels, 9, 9))
    x = np.linspace(0, 8, px, endpoint=False)
    low = x.astype(int)
    weight = x - low
    rows = coarse[:, :, low] * (1 - weight)[:, None] + coarse[:, :, low + 1] * weight[:, None]
    image: Array = rows[..., low] * (1 - weight) + rows[..., low + 1] * weight
    return image.astype(np.float32)


def example_noise(
    batch_size: int, px: int, seed: int, channels: int = 3
) -> npt.NDArray[np.float32]:
    """Make (B, C, px, px) uniform noise in 0..255."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (batch_size, channels, px, px)).astype(np.float32)


def example_batch(contract: ModelContract, batch_size: int, seed: int) -> dict[str, Array]:
    """Make inputs of the kind a graph is for, such as every calculation on its statistics needs.

    Args:
        contract: says what the inputs are: names of diffusion are what they are there, [3, px, px]
            is an image, [1, px, px] a grey one, everything else coefficients.
        batch_size: B.
        seed: the same seed gives the same inputs.

    Returns:
        Photograph-like images in 0..255, and coefficients of unit variance.
    """
    seeds = range(seed, seed + 10 * len(contract.inputs), 10)
    return {
        spec.name: example_images(batch_size, spec.dims[-1], own_seed, spec.dims[0])
        if _is_image(spec)
        else _example_values(spec, batch_size, own_seed)
        for spec, own_seed in zip(contract.inputs, seeds, strict=True)
    }


def example_cases(contract: ModelContract, seed: int = 0) -> list[dict[str, Array]]:
    """Make parity inputs from the contract alone: two samples by themselves, and a full batch.

    For images these are one like a photograph, one of noise, and a batch of both kinds; for
    diffusion the first, a middle and the last timestep, in turn.
    """
    largest = max(contract.max_batch_size, 1)
    seeds = range(seed, seed + 10 * len(contract.inputs), 10)
    by_input = {
        spec.name: (_image_cases if _is_image(spec) else _value_cases)(spec, largest, own)
        for spec, own in zip(contract.inputs, seeds, strict=True)
    }
    return [{name: arrays[i] for name, arrays in by_input.items()} for i in range(3)]


def _is_image(spec: TensorSpec) -> bool:
    is_square = len(spec.dims) == 3 and spec.dims[0] in (1, 3) and spec.dims[1] == spec.dims[2]
    return is_square and spec.name not in DIFFUSION_EXAMPLES


def _image_cases(spec: TensorSpec, largest: int, seed: int) -> list[Array]:
    channels, px, half = spec.dims[0], spec.dims[-1], largest // 2
    smooth = [example_images(n, px, seed + i, channels) for n, i in ((1, 0), (largest - half, 2))]
    noise = [example_noise(n, px, seed + i, channels) for n, i in ((1, 1), (half, 3))]
    return [smooth[0], noise[0], np.concatenate([smooth[1], noise[1]])]


def _value_cases(spec: TensorSpec, largest: int, seed: int) -> list[Array]:
    sizes = (1, 1, largest)
    return [_example_values(spec, n, seed + i, before=i) for i, n in enumerate(sizes)]


def _example_values(spec: TensorSpec, batch_size: int, seed: int, before: int = 0) -> Array:
    make = DIFFUSION_EXAMPLES.get(spec.name, example_normals)
    return make(batch_size, spec.dims, seed, before)
