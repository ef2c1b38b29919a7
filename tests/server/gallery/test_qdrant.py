# SPDX-License-Identifier: Apache-2.0
"""What only a gallery in Qdrant can get wrong; `test_gallery` has the rest."""

import pytest

pytest.importorskip("qdrant_client")

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from mien_server.errors import ServingError
from mien_server.gallery.qdrant import QdrantGallery
from tests.server.gallery.planted_people import (
    KEY,
    OTHER_KEY,
    SPACE,
    enrolments,
    listed,
    names,
    people,
)

FACES = people(20, per=2)


def code(call, *arguments):
    with pytest.raises(ServingError) as error:
        call(*arguments)
    return error.value.code


def test_a_gallery_on_the_disk_is_the_same_when_it_is_opened_again(tmp_path):
    client = QdrantClient(path=str(tmp_path))
    gallery = QdrantGallery.create(client, "staff", SPACE, KEY)
    gallery.enrol_many(enrolments(FACES))
    gallery.enrol("person3", FACES[3], {"desk": 3}, existing="replace")
    before, found = listed(gallery, limit=7), gallery.search(FACES[:, 0])
    client.close()

    client = QdrantClient(path=str(tmp_path))
    again = QdrantGallery.open(client, "staff", SPACE, KEY)

    assert listed(again, limit=7) == before
    for matches, expected in zip(again.search(FACES[:, 0]), found, strict=True):
        assert names(matches) == names(expected)
        scores = [match.score for match in expected]
        assert [match.score for match in matches] == pytest.approx(scores, abs=1e-6)
    assert again.subject("person3").metadata == {"desk": 3}
    client.close()


def test_what_does_not_fit_is_refused(qdrant):
    client = qdrant._client

    assert code(QdrantGallery.create, client, "staff", SPACE, KEY) == "GALLERY_EXISTS"
    assert code(QdrantGallery.open, client, "guests", SPACE, KEY) == "UNKNOWN_GALLERY"
    assert code(QdrantGallery.open, client, "staff", "vggface-77", KEY) == "WRONG_GALLERY_SPACE"
    assert code(QdrantGallery.open, client, "staff", SPACE, OTHER_KEY) == "WRONG_GALLERY_KEY"
    assert code(QdrantGallery.open, client, "../x", SPACE, KEY) == "INVALID_OPTION"


def test_the_database_sees_no_names_no_metadata_and_no_faces(qdrant):
    qdrant.enrol("anna", FACES[0], {"mail": "anna@example.org"})
    client = qdrant._client

    stored = [
        point
        for collection in ("mien_staff_subjects", "mien_staff_templates", "mien_galleries")
        for point in client.scroll(collection, with_vectors=True)[0]
    ]
    assert "anna" not in repr(stored)
    vectors = [point.vector for point in stored if point.vector]
    assert len(vectors) == 2
    assert abs(FACES[0] @ vectors[0]).max() < 6 / 512**0.5


def test_a_subject_that_was_altered_or_given_anothers_place_is_noticed(qdrant):
    qdrant.enrol_many(enrolments(FACES[:2]))
    client, (one, other) = qdrant._client, qdrant._client.scroll("mien_staff_subjects")[0]
    sealed = one.payload["sealed"]
    flipped = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    for payload in (
        other.payload,
        {**one.payload, "number": 7},
        {**one.payload, "sealed": flipped},
        {**one.payload, "sealed": 5},
    ):
        altered = models.PointStruct(id=one.id, vector={}, payload=payload)
        client.upsert("mien_staff_subjects", points=[altered])
        assert code(qdrant.subjects) == "GALLERY_DAMAGED"
        assert code(qdrant.search, FACES[0]) == "GALLERY_DAMAGED"


@pytest.mark.parametrize("existing", ["refuse", "replace", "add"])
def test_an_enrolment_that_was_cut_short_counts_for_nothing_and_hides_nobody(
    qdrant, monkeypatch, existing
):
    qdrant.enrol_many(enrolments(FACES[:4]))
    upsert, calls = qdrant._client.upsert, []

    def failing(collection, **options):
        calls.append(collection)
        if collection == "mien_staff_subjects":
            raise ResponseHandlingException(ConnectionError("gone"))
        return upsert(collection, **options)

    name = "new" if existing == "refuse" else "person1"
    with monkeypatch.context() as patched:
        patched.setattr(qdrant._client, "upsert", failing)
        with pytest.raises(ServingError, match="gone") as error:
            qdrant.enrol(name, FACES[10], existing=existing)
    assert error.value.code == "GALLERY_UNWRITABLE"
    assert calls == ["mien_staff_templates", "mien_staff_subjects"]

    (found,) = qdrant.search(FACES[10, 0], top=4)
    assert sorted(names(found)) == [f"person{n}" for n in range(4)]
    assert found[0].score < 0.5
    assert qdrant.search(FACES[1, 0], top=1)[0][0].score == pytest.approx(1, abs=1e-5)
