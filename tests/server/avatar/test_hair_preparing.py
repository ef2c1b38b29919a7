# SPDX-License-Identifier: Apache-2.0
"""Plans of cards: made once, kept on the machine, the same whoever made them."""

from dataclasses import fields

import numpy as np
import pytest

from mien_server.avatar import card_plans, hair_preparing
from mien_server.avatar.card_plans import CardPlans, plans_folder
from mien_server.avatar.choices import HairForm, Level
from mien_server.avatar.hair_preparing import HairPreparation
from mien_server.avatar.hairdressing import Hairdresser
from mien_server.hair.card_plan import CardPlan, plan_cards
from mien_server.hair.levels import LEVELS
from tests.server.avatar.planted_avatars import asset, hairdresser, library

TRIANGLES = 1200


@pytest.fixture
def planned(monkeypatch):
    """Sizes of the plans that were made since."""
    made = []

    def plan(strands, max_triangles):
        made.append(max_triangles)
        return plan_cards(strands, min(max_triangles, TRIANGLES))

    monkeypatch.setattr(card_plans, "plan_cards", plan)
    return made


def strands():
    return library().hairstyle("long_wavy").strands


def cards(of, level=Level.LOW, name="long_wavy"):
    return of.hair(name, asset().vertices, (0.5, 0.4, 0.3), HairForm.CARDS, level)


def test_a_plan_that_was_kept_is_the_plan_that_was_made(tmp_path, planned):
    made = CardPlans(tmp_path / "new").plan("digest", strands(), 600)
    kept = CardPlans(tmp_path / "new").plan("digest", strands(), 600)

    assert planned == [600]
    for part in fields(CardPlan):
        first, second = getattr(made, part.name), getattr(kept, part.name)
        np.testing.assert_array_equal(first, second)
        assert np.asarray(first).dtype == np.asarray(second).dtype


def test_every_style_and_size_has_a_plan_of_its_own(tmp_path, planned):
    plans = CardPlans(tmp_path)
    plans.plan("one", strands(), 600)
    plans.plan("other", strands(), 600)
    plans.plan("one", strands(), 900)

    assert planned == [600, 600, 900]
    assert plans.has("one", 900)
    assert not plans.has("other", 900)


def test_a_plan_by_other_code_is_made_again(tmp_path, planned, monkeypatch):
    CardPlans(tmp_path).plan("one", strands(), 600)
    monkeypatch.setattr(card_plans, "_code_digest", lambda: "0123456789abcdef")

    CardPlans(tmp_path).plan("one", strands(), 600)

    assert planned == [600, 600]


@pytest.mark.parametrize("damage", [b"", b"junk", None], ids=["empty", "junk", "other"])
def test_a_damaged_plan_is_made_again(tmp_path, planned, damage):
    plans = CardPlans(tmp_path)
    whole = plans.plan("one", strands(), 600)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)

    again = plans.plan("one", strands(), 600)

    np.testing.assert_array_equal(again.leaders, whole.leaders)
    assert planned == [600, 600]
    assert CardPlans(tmp_path).plan("one", strands(), 600).strands == whole.strands
    assert planned == [600, 600]


def test_without_a_folder_that_can_be_written_plans_are_made(tmp_path, planned):
    (tmp_path / "file").write_text("in the way")
    for folder in (None, tmp_path / "file" / "below"):
        plans = CardPlans(folder)
        with plans.turn() as is_ours:
            assert is_ours
            assert plans.plan("one", strands(), 600).triangles <= 600
        assert not plans.has("one", 600)

    assert planned == [600, 600]


def test_plans_lie_where_the_environment_says(tmp_path):
    named = plans_folder({"MIEN_CACHE_PATH": str(tmp_path), "XDG_CACHE_HOME": "/other"})

    assert named == tmp_path / "card_plans"
    assert plans_folder({"XDG_CACHE_HOME": "/caches"}).as_posix() == "/caches/mien/card_plans"
    assert plans_folder({}).parts[-3:] == (".cache", "mien", "card_plans")


def test_after_preparation_nobody_plans_in_this_process_or_another(tmp_path, planned, monkeypatch):
    monkeypatch.setattr(hair_preparing, "STYLES", 2)
    name = library().entries()[1].name
    first = Hairdresser(library(), asset(), CardPlans(tmp_path))
    HairPreparation(first).run()
    count = len(planned)
    cards(first, Level.MEDIUM, name)
    second = Hairdresser(library(), asset(), CardPlans(tmp_path))
    HairPreparation(second).run()
    cards(second, Level.HIGH, name)

    assert count == 2 * len(LEVELS)
    assert len(planned) == count


def test_prepared_hair_is_the_hair_that_would_have_been_made(tmp_path):
    subject = Hairdresser(library(), asset(), CardPlans(tmp_path))
    subject.prepare(library().entry("long_wavy"), Level.LOW, keep=True)
    read = Hairdresser(library(), asset(), CardPlans(tmp_path))

    for hair in (cards(subject), cards(read)):
        for name in ("vertices", "faces", "uv", "colour", "normals"):
            expected = getattr(cards(hairdresser()), name)
            np.testing.assert_array_equal(getattr(hair, name), expected)


def test_preparation_ends_when_it_is_closed(planned):
    class Counting(Hairdresser):
        prepared = 0

        def prepare(self, entry, level, *, keep):
            self.prepared += 1
            preparation.close()
            return True

    subject = Counting(library(), asset())
    preparation = HairPreparation(subject)

    preparation.run()

    assert subject.prepared == 1


def test_two_processes_do_not_make_the_same_plan(tmp_path, planned):
    """Each opens the lock for itself, as processes do."""
    mine = Hairdresser(library(), asset(), CardPlans(tmp_path))
    entry = library().entry("long_wavy")

    with CardPlans(tmp_path).turn() as is_theirs:
        assert is_theirs
        assert not mine.prepare(entry, Level.LOW, keep=False)
        assert planned == []

    assert mine.prepare(entry, Level.LOW, keep=False)
    assert len(planned) == 1


def test_preparation_goes_on_once_the_other_process_is_done(tmp_path):
    class Waiting(Hairdresser):
        answers = ()

        def prepare(self, entry, level, *, keep):
            self.answers += ((entry.name, level),)
            return len(self.answers) > 2

    subject = Waiting(library(), asset())
    HairPreparation(subject).run()

    first = library().entries()[0].name
    assert subject.answers[:3] == ((first, Level.MEDIUM),) * 3
    assert len(set(subject.answers)) == len(subject.answers) - 2 == 3 * len(library().entries())


def test_a_style_that_is_gone_does_not_end_the_preparation():
    class Damaged(Hairdresser):
        seen = ()

        def prepare(self, entry, level, *, keep):
            self.seen += ((entry.name, level, keep),)
            raise ValueError("damaged")

    subject = Damaged(library(), asset())
    preparation = HairPreparation(subject)
    preparation.start()
    preparation._thread.join()

    names = [entry.name for entry in library().entries()]
    assert [name for name, *_ in subject.seen] == 3 * names
    assert {level for _, level, keep in subject.seen if keep} == {Level.MEDIUM}
