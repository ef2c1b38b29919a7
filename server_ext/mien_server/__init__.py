# SPDX-License-Identifier: Apache-2.0
"""What runs beside and inside Triton: backends, business logic and the `mien-serve` command."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("mien")
