# SPDX-License-Identifier: Apache-2.0
"""The albedo asset: skin, facial hair, eyes and teeth, painted and distilled to 50 components."""
