# SPDX-License-Identifier: Apache-2.0
"""``python -m mien_export``."""

import sys

from mien_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
