# SPDX-License-Identifier: Apache-2.0
"""Warp kernels, one Warp module per file.

Their annotations are Warp's types, which say nothing to a type checker; what calls them is typed.
"""
