# SPDX-License-Identifier: Apache-2.0
"""Several galleries below one folder."""

import base64
import shutil

import pytest

from mien_server.errors import ServingError
from mien_server.gallery import GALLERY_KEY_VARIABLE, LocalGalleries, LocalGallery, gallery_key
from tests.server.gallery.planted_people import KEY, OTHER_KEY, SPACE, enrolments, people

FACES = people(50)


@pytest.fixture
def galleries(tmp_path):
    opened = LocalGalleries(tmp_path / "galleries", KEY)
    yield opened
    opened.close()


def code(call, *arguments):
    with pytest.raises(ServingError) as error:
        call(*arguments)
    return error.value.code


def test_galleries_are_made_listed_found_again_and_dropped(galleries, tmp_path):
    assert galleries.names() == ()
    staff = galleries.create("staff", SPACE)
    staff.enrol_many(enrolments(FACES))
    galleries.create("guests", SPACE)

    assert galleries.names() == ("guests", "staff")
    assert galleries.get("staff", SPACE) is staff
    assert code(galleries.create, "staff", SPACE) == "GALLERY_EXISTS"
    galleries.close()
    again = LocalGalleries(tmp_path / "galleries", KEY)
    assert code(again.create, "staff", SPACE) == "GALLERY_EXISTS"
    assert again.get("staff", SPACE).count().subjects == 50
    again.drop("staff")
    assert again.names() == ("guests",)
    assert code(again.get, "staff", SPACE) == "UNKNOWN_GALLERY"
    assert code(again.drop, "staff") == "UNKNOWN_GALLERY"
    assert again.create("staff", SPACE).count().subjects == 0
    again.close()


def test_templates_of_another_recogniser_are_refused(galleries, tmp_path):
    galleries.create("staff", SPACE)
    assert code(galleries.get, "staff", "vggface-77") == "WRONG_GALLERY_SPACE"
    galleries.close()
    again = LocalGalleries(tmp_path / "galleries", KEY)
    assert code(again.get, "staff", "vggface-77") == "WRONG_GALLERY_SPACE"
    assert again.get("staff", SPACE).space == SPACE
    again.close()


def test_another_key_is_refused_and_changes_nothing(galleries, tmp_path):
    galleries.create("staff", SPACE).enrol_many(enrolments(FACES))
    galleries.close()
    file = tmp_path / "galleries" / "staff" / "templates.log"
    before = file.read_bytes()

    other = LocalGalleries(tmp_path / "galleries", OTHER_KEY)

    assert code(other.get, "staff", SPACE) == "WRONG_GALLERY_KEY"
    assert file.read_bytes() == before
    again = LocalGalleries(tmp_path / "galleries", KEY)
    assert again.get("staff", SPACE).count().subjects == 50
    again.close()


def test_a_gallery_under_another_name_is_noticed(galleries, tmp_path):
    galleries.create("staff", SPACE)
    galleries.close()
    folder = tmp_path / "galleries"
    shutil.copytree(folder / "staff", folder / "guests")

    assert code(LocalGalleries(folder, KEY).get, "guests", SPACE) == "GALLERY_DAMAGED"


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp", "Staff", "a" * 41, "-a", "a\n", "."])
def test_names_that_are_no_folders_are_refused_and_make_none(galleries, tmp_path, name):
    for call in (galleries.create, galleries.get):
        assert code(call, name, SPACE) == "INVALID_OPTION"
    assert code(galleries.drop, name) == "INVALID_OPTION"
    assert list(tmp_path.iterdir()) == []


def test_one_key_gives_two_galleries_vectors_that_cannot_be_linked(galleries):
    for name in ("staff", "guests"):
        galleries.create(name, SPACE).enrol_many(enrolments(FACES))
    staff, guests = (
        galleries.get(name, SPACE)._keeper.opened().contents.rows.view.templates[:50]
        for name in ("staff", "guests")
    )

    assert abs((staff * guests).sum(axis=1)).max() < 6 / 512**0.5
    assert abs(staff @ staff.T - guests @ guests.T).max() < 1e-5


def test_files_are_for_their_owner_alone(galleries, tmp_path):
    galleries.create("staff", SPACE).compact()

    folder = tmp_path / "galleries" / "staff"
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_the_key_is_read_from_the_environment(tmp_path):
    assert gallery_key({}) is None
    assert gallery_key({GALLERY_KEY_VARIABLE: base64.b64encode(KEY).decode()}) == KEY
    with pytest.raises(ValueError, match="MIEN_GALLERY_KEY must be 32 random bytes"):
        gallery_key({GALLERY_KEY_VARIABLE: "short"})
    with pytest.raises(ValueError, match="32 bytes; this one has 5"):
        LocalGalleries(tmp_path, b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        LocalGallery.create(tmp_path / "x", "x", SPACE, b"")
    assert list(tmp_path.iterdir()) == []
