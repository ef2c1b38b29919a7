# SPDX-License-Identifier: Apache-2.0
"""Synthetic people with known truth, and the recipes of the weights trained on them."""
