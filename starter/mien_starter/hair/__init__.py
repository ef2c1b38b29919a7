# SPDX-License-Identifier: Apache-2.0
"""Hairstyles made by rules: strands on the scalp of the starter head, and pictures of them.

Frame of the mean head everywhere: metres, y up, the face towards +z, the person's left is +x.
"""
