# SPDX-License-Identifier: Apache-2.0
"""The approximate search against the exact one."""

import numpy as np
import pytest

from mien_server.gallery import template_rows
from mien_server.gallery.rotation import Rotation
from mien_server.gallery.template_rows import TemplateRows
from tests.server.gallery.planted_people import KEY, people, unit

# 10,000 templates of 2,500 people, and a further photograph of some; turned, as they are kept.
TURN = Rotation(KEY, bytes(32)).turn
FACES = TURN(people(2500, per=5).reshape(-1, 512)).reshape(2500, 5, 512)
ENROLLED, MATED = FACES[:, :4].reshape(-1, 512), FACES[:100, 4]
OWNERS = np.repeat(np.arange(2500), 4)
STRANGERS = TURN(people(100, seed=1)[:, 0])


@pytest.fixture(scope="module")
def rows():
    filled = TemplateRows()
    for owner, faces in enumerate(FACES[:, :4]):
        filled.put(owner, faces)
    filled.publish()
    return filled


def exact(probe, top, without=()):
    scores = np.where(np.isin(OWNERS, without), -2, ENROLLED @ probe)
    best = scores.reshape(2500, 4).max(axis=1)
    return {int(owner): best[owner] for owner in np.argsort(-best)[:top]}


def recall(view, probes, top, without=()):
    hits = [
        len(dict(view.nearest(probe, top)).keys() & exact(probe, top, without).keys())
        for probe in probes
    ]
    return sum(hits) / (top * len(probes))


def test_many_templates_are_searched_approximately_with_little_missed(rows):
    assert rows.view.index is not None

    assert recall(rows.view, MATED, 1) == 1
    assert recall(rows.view, MATED, 10) > 0.99
    assert recall(rows.view, STRANGERS, 10) > 0.99


def test_scores_are_exact_whatever_found_them(rows):
    for probe in MATED[:10]:
        expected = exact(probe, 2500)
        for owner, score in rows.view.nearest(probe, 10):
            assert score == pytest.approx(expected[owner], abs=1e-6)


def test_a_search_for_everybody_finds_everybody_in_order(rows):
    found = rows.view.nearest(MATED[0], 1000)

    scores = [score for _, score in found]
    assert len({owner for owner, _ in found}) == 1000
    assert scores == sorted(scores, reverse=True)


def test_rows_that_came_after_the_index_are_found(rows, monkeypatch):
    monkeypatch.setattr(template_rows, "EXACT_BELOW", 1000)
    monkeypatch.setattr(template_rows, "TAIL", 700)
    grown = TemplateRows(10)
    for owner, faces in enumerate(FACES[:1000, :4]):
        before = grown.view
        grown.put(owner, faces)
        assert grown.view is before
        if owner % 100 == 99:
            grown.publish()
            index = grown.view.index
            covered = len(index) if index else 0
            assert grown.view.count - covered <= (700 if index else 1000)
            (found, score), *_ = grown.view.nearest(faces[2], 3)
            assert (found, score) == (owner, pytest.approx(1, abs=1e-6))
    assert grown.view.index is not None


def test_a_view_stays_as_it_was(rows):
    changing = rows.changed(lambda templates: templates)
    before = changing.view
    expected = before.nearest(MATED[3], 10)

    changing.lose(3)
    changing.put(9999, MATED[3:4])
    changing.publish()

    assert before.nearest(MATED[3], 10) == expected
    assert changing.view.nearest(MATED[3], 1)[0][0] == 9999
    assert 3 not in dict(changing.view.nearest(MATED[3], 100))


@pytest.mark.parametrize("gone", [100, 1000, 2000])
def test_lost_rows_are_not_found_and_hide_nobody(rows, gone):
    """However near they are: they were in the index, and some still are."""
    changing = rows.changed(lambda templates: templates)
    lost = np.arange(gone)
    for owner in lost:
        changing.lose(int(owner))
    changing.publish()

    assert recall(changing.view, MATED[:40], 10, lost) > 0.99
    assert all(owner >= gone for p in MATED[:40] for owner, _ in changing.view.nearest(p, 50))
    assert changing.view.count - changing.view.dead == 10_000 - 4 * gone
    assert (changing.view.index is None) == (gone >= 1000)


def test_a_crowd_of_one_subjects_templates_hides_nobody(rows):
    changing = rows.changed(lambda templates: templates)
    probe = STRANGERS[0]
    near = unit(probe + np.random.default_rng(0).standard_normal((3000, 512)) * 0.01)
    changing.put(5000, near)
    changing.publish()

    found = dict(changing.view.nearest(probe, 11))
    assert len(found) == 11
    assert len(found.keys() & exact(probe, 10).keys()) >= 9


def test_rows_are_told_apart_by_owner_in_the_order_in_which_they_came(rows):
    changing = TemplateRows(1)
    changing.put(4, FACES[4, :2])
    changing.put(2, FACES[2, :1])
    changing.put(4, FACES[4, 2:3])
    changing.put(3, FACES[3, :1])
    changing.lose(3)
    changing.put(3, FACES[3, 1:2])
    changing.publish()

    found = dict(changing.by_owner())
    assert list(found) == [2, 3, 4]
    assert np.array_equal(found[4], FACES[4, :3])
    assert np.array_equal(found[3], FACES[3, 1:2])
    assert dict(TemplateRows().by_owner()) == {}
