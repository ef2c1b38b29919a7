# SPDX-License-Identifier: Apache-2.0
"""`python -m mien_server.serve` is `mien-serve`."""

import sys

from mien_server.serve.cli import main

sys.exit(main())
