# SPDX-License-Identifier: Apache-2.0
"""What every gallery does, wherever its templates are kept."""

import threading

import numpy as np
import pytest

from mien_server.errors import ServingError
from mien_server.gallery import Enrolment, read_receipt
from tests.server.gallery.planted_people import KEY, OTHER_KEY, enrolments, listed, names, people

FACES = people(40, per=3)


@pytest.fixture(params=["local", "qdrant"])
def gallery(request):
    return request.getfixturevalue(request.param)


def refusal(call, *arguments, **options):
    with pytest.raises(ServingError) as error:
        call(*arguments, **options)
    return error.value.code, error.value.text


def test_a_face_finds_its_subject_with_the_cosine_of_the_most_similar_template(gallery):
    gallery.enrol_many(enrolments(FACES[:, :2]))

    for person, found in enumerate(gallery.search(FACES[:, 2], top=3)):
        cosines = (FACES[:, :2].astype(np.float64) @ FACES[person, 2]).max(axis=1)
        order = np.argsort(-cosines)[:3]
        assert names(found) == [f"person{number}" for number in order]
        assert [match.score for match in found] == pytest.approx(cosines[order], abs=1e-5)
    assert order[0] == person


def test_a_threshold_and_a_number_limit_what_is_found(gallery):
    gallery.enrol_many(enrolments(FACES[:, :2]))

    (found,) = gallery.search(FACES[7, 2], top=40, threshold=0.4)
    assert names(found) == ["person7"]
    assert len(gallery.search(FACES[7, 2], top=7)[0]) == 7
    assert len(gallery.search(FACES[7, 2], top=1000)[0]) == 40


def test_an_empty_gallery_finds_nobody(gallery):
    assert gallery.search(FACES[:2, 0]) == ((), ())
    assert gallery.enrol_many([]) == ()
    assert (gallery.count().subjects, gallery.count().templates) == (0, 0)
    assert gallery.subjects().subjects == ()


def test_who_is_deleted_is_found_and_listed_no_more(gallery):
    gallery.enrol_many(enrolments(FACES[:5]))

    receipt = gallery.delete("person3")

    found = names(gallery.search(FACES[3, 0], top=10)[0])
    assert sorted(found) == ["person0", "person1", "person2", "person4"]
    assert [one.name for one in listed(gallery)] == ["person0", "person1", "person2", "person4"]
    assert (gallery.count().subjects, gallery.count().templates) == (4, 12)
    assert refusal(gallery.subject, "person3")[0] == "UNKNOWN_SUBJECT"
    assert refusal(gallery.delete, "person3")[0] == "UNKNOWN_SUBJECT"
    assert (receipt.gallery, receipt.subject, receipt.templates) == (gallery.name, "person3", 3)


def test_a_receipt_is_verified_with_the_key_and_no_other(gallery):
    gallery.enrol("anna", FACES[0])
    receipt = gallery.delete("anna", compact=True)

    assert read_receipt(receipt.text, KEY) == receipt
    assert refusal(read_receipt, receipt.text, OTHER_KEY)[0] == "INVALID_OPTION"
    for place in range(0, len(receipt.text), 9):
        other = "A" if receipt.text[place] != "A" else "B"
        altered = receipt.text[:place] + other + receipt.text[place + 1 :]
        assert refusal(read_receipt, altered, KEY)[0] == "INVALID_OPTION"


def test_a_name_that_is_enrolled_is_refused_skipped_added_to_or_replaced(gallery):
    gallery.enrol("anna", FACES[0, :1], {"desk": 1})

    code, text = refusal(gallery.enrol, "anna", FACES[1, 0])
    assert (code, "anna is enrolled already" in text) == ("SUBJECT_EXISTS", True)
    assert gallery.enrol("anna", FACES[1, 0], existing="skip").metadata == {"desk": 1}
    (found,) = gallery.search(FACES[1, 0])
    assert found[0].score < 0.5

    added = gallery.enrol("anna", FACES[1, 0], existing="add")
    assert (added.templates, added.metadata) == (2, {"desk": 1})
    for face in (FACES[0, 0], FACES[1, 0]):
        assert gallery.search(face)[0][0].score == pytest.approx(1, abs=1e-5)

    replaced = gallery.enrol("anna", FACES[2, 0], {"desk": 2}, existing="replace")
    assert (replaced.templates, replaced.metadata) == (1, {"desk": 2})
    assert gallery.search(FACES[2, 0])[0][0].score == pytest.approx(1, abs=1e-5)
    assert gallery.search(FACES[0, 0])[0][0].score < 0.5
    assert (gallery.count().subjects, gallery.count().templates) == (1, 1)
    assert gallery.subject("anna") == replaced


def test_a_refused_batch_enrols_nobody(gallery):
    gallery.enrol("person2", FACES[2])

    assert refusal(gallery.enrol_many, enrolments(FACES[:4]))[0] == "SUBJECT_EXISTS"
    twice = [Enrolment("new", FACES[0]), Enrolment("new", FACES[1])]
    assert refusal(gallery.enrol_many, twice)[0] == "SUBJECT_EXISTS"

    assert [one.name for one in listed(gallery)] == ["person2"]
    gallery.enrol_many(enrolments(FACES[:4]), existing="skip")
    assert [one.name for one in listed(gallery)] == ["person2", "person0", "person1", "person3"]


def test_pages_of_the_list_leave_out_nobody_while_people_come_and_go(gallery):
    gallery.enrol_many(enrolments(FACES[:10]))

    first = gallery.subjects(limit=4)
    assert [one.name for one in first.subjects] == [f"person{n}" for n in range(4)]
    gallery.delete("person3")
    gallery.delete("person4")
    gallery.enrol("late", FACES[11])
    second = gallery.subjects(after=first.after, limit=4)
    assert [one.name for one in second.subjects] == [f"person{n}" for n in (5, 6, 7, 8)]
    third = gallery.subjects(after=second.after, limit=2)
    assert ([one.name for one in third.subjects], third.after) == (["person9", "late"], None)


@pytest.mark.parametrize(
    ("templates", "words"),
    [
        (FACES[0, 0, :511], r"shape \(511,\)"),
        (FACES[:2], r"shape \(2, 3, 512\)"),
        (FACES[0, :0], r"shape \(0, 512\)"),
        (FACES[0] * 2, "length 2"),
        (np.where(np.arange(512) == 5, np.nan, FACES[0, 0]), "length nan"),
        (np.where(np.arange(512) == 5, np.inf, FACES[0, 0]), "length inf"),
        (np.zeros(512, np.float32), "length 0"),
        ((FACES[0] * 100).astype(np.int8), "int8"),
    ],
)
def test_what_is_no_template_is_neither_enrolled_nor_searched_for(gallery, templates, words):
    for call in (lambda: gallery.enrol("anna", templates), lambda: gallery.search(templates)):
        with pytest.raises(ServingError, match=words) as error:
            call()
        assert error.value.code == "INVALID_TENSOR"
    assert gallery.count().subjects == 0


@pytest.mark.parametrize(
    "name", ["", "../anna", "a/b", ".hidden", "a b", "anna\n", "ä", "a\0", "x" * 129, "-x"]
)
def test_names_that_could_be_misread_are_refused(gallery, name):
    assert refusal(gallery.enrol, name, FACES[0])[0] == "INVALID_OPTION"


@pytest.mark.parametrize(
    "metadata", [{"x": "y" * 4096}, {"x": float("nan")}, {"x": b"bytes"}, {1: "x"}, {"x": object()}]
)
def test_metadata_that_is_no_small_json_object_is_refused(gallery, metadata):
    assert refusal(gallery.enrol, "anna", FACES[0], metadata)[0] == "INVALID_OPTION"
    assert gallery.count().subjects == 0


def test_options_out_of_range_are_refused(gallery):
    for call, options in (
        (gallery.search, {"probes": FACES[0], "top": 0}),
        (gallery.search, {"probes": FACES[0], "top": 1001}),
        (gallery.subjects, {"limit": 0}),
        (gallery.enrol, {"subject": "a", "templates": FACES[0], "existing": "ignore"}),
        (gallery.enrol, {"subject": "a", "templates": np.repeat(FACES[0], 22, axis=0)}),
        (gallery.enrol_many, {"enrolments": [Enrolment("a", FACES[0, 0])] * 10_001}),
    ):
        assert refusal(call, **options)[0] == "INVALID_OPTION"


def test_searches_meanwhile_show_whole_subjects_or_none(gallery):
    gallery.enrol_many(enrolments(FACES[:20]))
    stop, wrong, searches = threading.Event(), [], [0]

    def search():
        while not stop.is_set():
            for person, face in ((0, 0), (0, 1), (30, 0), (30, 1)):
                (found,) = gallery.search(FACES[person, face], top=40)
                searches[0] += 1
                scores = {match.subject.name: match.score for match in found}
                # Of the one who comes and goes, both templates count or neither does.
                if scores.get(f"person{person}", 1 if person else 0) < 0.999:
                    wrong.append(scores)

    def enrol(first):
        for person in range(first, first + 5):
            gallery.enrol(f"person{person}", FACES[person])

    threads = [threading.Thread(target=search) for _ in range(2)]
    threads += [threading.Thread(target=enrol, args=(first,)) for first in (20, 25)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        gallery.enrol("person30", FACES[30, :2])
        assert "person30" in names(gallery.search(FACES[30, 1])[0])
        gallery.delete("person30")
        assert "person30" not in names(gallery.search(FACES[30, 1])[0])
    for thread in threads[2:]:
        thread.join()
    stop.set()
    for thread in threads[:2]:
        thread.join()

    assert not wrong
    assert searches[0] > 0
    assert {one.name for one in listed(gallery)} == {f"person{n}" for n in range(30)}


def test_a_closed_gallery_says_so(gallery):
    gallery.close()
    gallery.close()

    for call in (gallery.count, gallery.subjects, lambda: gallery.search(FACES[0])):
        assert refusal(call)[0] == "STOPPING"
    assert refusal(gallery.enrol, "anna", FACES[0])[0] == "STOPPING"
    assert refusal(gallery.delete, "anna")[0] == "STOPPING"
