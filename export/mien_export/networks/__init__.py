# SPDX-License-Identifier: Apache-2.0
"""One module per architecture: a frozen config and an ``nn.Module``. No I/O, no device."""
