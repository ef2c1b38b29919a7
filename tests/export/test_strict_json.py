# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import asdict, dataclass

import pytest

from mien_export.strict_json import from_json


@dataclass(frozen=True)
class Point:
    x: float
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    name: str
    count: int
    is_open: bool
    points: tuple[Point, ...]
    tools: dict[str, str]


DOCUMENT = Document("a", 3, True, (Point(0.5, ("one", "two")), Point(2.0, ())), {"numpy": "1"})


def changed(**changes):
    return {**json.loads(json.dumps(asdict(DOCUMENT))), **changes}


def test_what_was_written_is_read():
    assert from_json(Document, changed()) == DOCUMENT


def test_a_whole_number_may_stand_for_a_float_and_becomes_one():
    found = from_json(Document, changed(points=[{"x": 2, "tags": []}]))

    assert isinstance(found.points[0].x, float)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param([], r"the document is \[\]; expected dict", id="no object"),
        pytest.param(changed(more=1), r"lacks \[\] and has the unknown \['more'\]", id="unknown"),
        pytest.param({"name": "a"}, r"lacks \['count', 'is_open', 'points', 'tools'\]", id="short"),
        pytest.param(changed(name=1), "document.name is 1; expected str", id="text"),
        pytest.param(changed(count=1.5), "document.count is 1.5; expected int", id="fraction"),
        pytest.param(changed(count=True), "document.count is True; expected int", id="boolean"),
        pytest.param(changed(is_open=1), "document.is_open is 1; expected bool", id="number"),
        pytest.param(changed(points={}), r"document.points is {}; expected list", id="list"),
        pytest.param(
            changed(points=[{"x": "a", "tags": []}]), r"points\[0\]\.x is 'a'; expected float",
            id="deep",
        ),
        pytest.param(
            changed(points=[{"x": float("nan"), "tags": []}]), r"points\[0\]\.x is nan; expected a",
            id="nan",
        ),
        pytest.param(
            changed(points=[{"x": True, "tags": []}]), r"points\[0\]\.x is True; expected float",
            id="flag",
        ),
        pytest.param(changed(tools={"numpy": 1}), "document.tools.numpy is 1; expected", id="map"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_place(document, message):
    with pytest.raises(ValueError, match=message):
        from_json(Document, document)
