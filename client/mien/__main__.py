# SPDX-License-Identifier: Apache-2.0
"""``python -m mien`` is the command ``mien``."""

import sys

from mien._cli import main

if __name__ == "__main__":
    sys.exit(main())
