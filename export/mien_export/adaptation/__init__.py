# SPDX-License-Identifier: Apache-2.0
"""Adapting a recogniser to a domain of which there are no labels."""
