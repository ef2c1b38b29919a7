# SPDX-License-Identifier: Apache-2.0
"""One module per graph of the repository: its networks, licence notes and tolerances."""
