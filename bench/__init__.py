# SPDX-License-Identifier: Apache-2.0
"""Measurements, run on purpose: `python -m bench verify`. Results are kept in RESULTS.md.

Unlike an application, a bench also imports `mien_server`: it compares the served work with the very
same work in one process.
"""
