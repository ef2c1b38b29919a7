# SPDX-License-Identifier: Apache-2.0
"""Figures on people nobody was trained on: pure functions, and the networks they are asked of."""
