# SPDX-License-Identifier: Apache-2.0
"""People to enrol, and short ways to say who was found."""

from bench.gallery_people import people, unit
from mien_server.gallery import Enrolment

__all__ = ["KEY", "OTHER_KEY", "SPACE", "enrolments", "listed", "names", "people", "unit"]

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SPACE = "arcface-5ad3"


def enrolments(templates, prefix="person"):
    return [Enrolment(f"{prefix}{number}", rows) for number, rows in enumerate(templates)]


def names(matches):
    return [match.subject.name for match in matches]


def listed(gallery, limit=1000):
    found, after = [], None
    while True:
        page = gallery.subjects(after=after, limit=limit)
        found += page.subjects
        if (after := page.after) is None:
            return found
