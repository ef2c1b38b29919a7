# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of hair: one source for CPU and CUDA."""
