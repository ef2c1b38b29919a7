# SPDX-License-Identifier: Apache-2.0
"""Builds a Triton model repository from contracts and weights."""
