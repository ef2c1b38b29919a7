# SPDX-License-Identifier: Apache-2.0
"""Hair as strands: what they are, how they are read, placed on a head and made into surfaces."""
