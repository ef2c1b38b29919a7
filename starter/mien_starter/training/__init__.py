# SPDX-License-Identifier: Apache-2.0
"""A small training loop: the same run whether or not it was interrupted."""
