# SPDX-License-Identifier: Apache-2.0
"""How synthetic people show emotions: rules with known truth, and what a head then does."""
