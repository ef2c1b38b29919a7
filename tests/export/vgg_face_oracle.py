# SPDX-License-Identifier: Apache-2.0
"""VGG-Face in float64 without torch, straight from arrays as a file has them, whatever its layout.

Maps are (B, H, W, C) here and kernels (H, W, C in, C out), as in Keras; Caffe's are turned around
before, and only what is flattened before fc6 has the file's own order.
"""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mien_export.networks.vgg_face import VggFaceConfig

TINY_VGG = VggFaceConfig(widths=(4, 5, 6, 7, 8), hidden=(11, 9), image_px=64)
SIDE = TINY_VGG.image_px // 32  # of the last map
LAYERS = [name for block in TINY_VGG.convolutions for name in block] + ["fc6", "fc7", "fc8"]
MEAN_RGB = np.array([129.1863, 104.7624, 93.5940])


def keras_arrays(num_classes=5, seed=0):
    """Kernel and bias of each layer: (3, 3, in, out) or (in, out), and (out,)."""
    rng = np.random.default_rng(seed)
    depths = zip(TINY_VGG.depths, TINY_VGG.widths, strict=True)
    sizes = [3, *(width for depth, width in depths for _ in range(depth))]
    shapes = [(3, 3, *pair) for pair in itertools.pairwise(sizes)]
    dense = [TINY_VGG.widths[-1] * SIDE**2, *TINY_VGG.hidden, num_classes]
    shapes += list(itertools.pairwise(dense))
    return {
        name: (
            rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32),
            rng.normal(5, 5, shape[-1]).astype(np.float32),
        )
        for name, shape in zip(LAYERS, shapes, strict=True)
    }


def caffe_arrays(num_classes=5, seed=0):
    """The same kinds of arrays lying as in Caffe: (out, in, 3, 3) or (out, in)."""
    return {
        name: (np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1))), bias)
        for name, (kernel, bias) in keras_arrays(num_classes, seed).items()
    }


def photographs(count=3, seed=1):
    """(B, 3, 64, 64) RGB 0..255, of other colours in each channel."""
    rng = np.random.default_rng(seed)
    low, high = (np.array(ends)[:, None, None] for ends in ((90, 0, 40), (255, 160, 120)))
    return rng.uniform(low, high, (count, 3, 64, 64)).astype(np.float32)


def features_by_hand(layers, images_rgb, *, is_bgr, flattens_channels_last):
    """fc6 and fc7 behind ReLU, (B, 11) and (B, 9).

    Args:
        layers: kernels and biases by Keras's or by Caffe's arrangement of axes.
        images_rgb: (B, 3, 64, 64).
        is_bgr: what the file's own program feeds.
        flattens_channels_last: whether fc6 reads the last map in the order H, W, C.
    """
    x = images_rgb.astype(np.float64).transpose(0, 2, 3, 1) - MEAN_RGB
    x = x[..., ::-1] if is_bgr else x
    for block in TINY_VGG.convolutions:
        for name in block:
            kernel, bias = (array.astype(np.float64) for array in layers[name])
            is_caffe = kernel.shape[2:] == (3, 3)
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = sliding_window_view(padded, (3, 3), axis=(1, 2))  # (B, H, W, C, 3, 3)
            rule = "bhwcij,ocij->bhwo" if is_caffe else "bhwcij,ijco->bhwo"
            x = (np.einsum(rule, windows, kernel, optimize=True) + bias).clip(0)
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
    x = (x if flattens_channels_last else x.transpose(0, 3, 1, 2)).reshape(len(x), -1)
    found = []
    for name in ("fc6", "fc7"):
        kernel, bias = (array.astype(np.float64) for array in layers[name])
        is_caffe = kernel.shape[0] == len(bias) and kernel.shape[1] == x.shape[1]
        x = (x @ (kernel.T if is_caffe else kernel) + bias).clip(0)
        found.append(x)
    return found
