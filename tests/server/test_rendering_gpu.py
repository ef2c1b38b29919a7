# SPDX-License-Identifier: Apache-2.0
"""The renderer's kernels on a GPU, as far as this machine lets one see it."""

from pathlib import Path

import numpy as np
import pytest
import warp

from mien_server.rendering import make_scene, rasterize, rgba_images, style_maps, vertex_normals
from mien_server.rendering.kernels import interpolation, maps, normals, rasterizer
from mien_server.rendering.warp_runtime import load_kernels
from tests.heads import ball_topology, head_inputs
from tests.server.test_rasterizer import bumpy_ball

AMPERE = 80  # compute capability 8.0
needs_gpu = pytest.mark.skipif(
    not Path("/dev/nvidia0").exists(), reason="needs an NVIDIA GPU and its driver"
)


@pytest.mark.parametrize(
    ("module", "atomic"),
    [(rasterizer, b".min.s64"), (normals, b".add.f32"), (maps, None), (interpolation, None)],
)
def test_the_kernels_compile_for_a_gpu_with_atomics_where_threads_meet(tmp_path, module, atomic):
    load_kernels(module, "cpu")

    (path,) = warp.compile_aot_module(module, arch=AMPERE, module_dir=tmp_path, use_ptx=True)

    code = path.read_bytes()
    assert b".entry" in code
    if atomic:
        atomics = [line for line in code.splitlines() if b"atom." in line or b"red." in line]
        assert any(atomic in line for line in atomics)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_sees_the_triangles_that_the_cpu_sees():
    meshes = [bumpy_ball(seed) for seed in range(4)]
    vertices, faces = np.stack([mesh[0] for mesh in meshes]), meshes[0][1]

    cpu = rasterize(vertices, faces, height=96, width=128)
    gpu = rasterize(vertices, faces, height=96, width=128, device="cuda:0")

    np.testing.assert_array_equal(gpu.mask, cpu.mask)
    assert (gpu.triangle == cpu.triangle).mean() > 0.9999  # depths may differ in the last bit
    np.testing.assert_allclose(gpu.depth, cpu.depth, atol=1e-5)
    np.testing.assert_allclose(
        vertex_normals(vertices, faces, device="cuda:0"), vertex_normals(vertices, faces), atol=1e-5
    )


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_shades_as_the_cpu_does():
    inputs, topology = head_inputs(3), ball_topology()

    cpu = make_scene(**inputs, topology=topology)
    gpu = make_scene(**inputs, topology=topology, device="cuda:0")

    np.testing.assert_allclose(style_maps(gpu), style_maps(cpu), atol=1e-3)
    np.testing.assert_allclose(rgba_images(gpu, 224), rgba_images(cpu, 224), atol=1e-3)
