# SPDX-License-Identifier: Apache-2.0
"""Posed and spontaneous expressions of synthetic people: rules, and pairs of onset and apex."""
