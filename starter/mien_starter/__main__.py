# SPDX-License-Identifier: Apache-2.0
"""Runs the command line: ``python -m mien_starter``."""

import sys

from mien_starter.cli import main

# Data sets are rendered by processes that import this module again.
if __name__ == "__main__":
    sys.exit(main())
