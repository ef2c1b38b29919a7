# SPDX-License-Identifier: Apache-2.0
"""Heads with texture and hair, made from photographs."""
