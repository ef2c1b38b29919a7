# SPDX-License-Identifier: Apache-2.0
"""`make demo`: build a repository, serve it, verify real photographs, make an avatar, stop."""
