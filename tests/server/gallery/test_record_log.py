# SPDX-License-Identifier: Apache-2.0
"""The file itself: what a crash leaves is cut off, and what was altered is noticed."""

import random
from itertools import pairwise

import pytest

from mien_server.errors import ServingError
from mien_server.gallery.file_head import BLOCK, MARK_PLACES, RECORDS_START, FileHead
from mien_server.gallery.record_log import RecordLog
from tests.server.gallery.planted_people import KEY, OTHER_KEY

CONTENTS = [b"first", b"second, longer", b"", b"fourth"]


def written(path, groups, key=KEY, head=None):
    log = RecordLog.create(path, head or FileHead.new("staff", "space"), key)
    for group in groups:
        log.append(group)
    log.close()
    return path.read_bytes()


def read(path, key=KEY):
    contents = []
    RecordLog.open(path, key, contents.append).close()
    return contents


def starts(content):
    """Where records begin, and where the last ends."""
    at = [RECORDS_START]
    while at[-1] < len(content):
        at.append(at[-1] + 4 + int.from_bytes(content[at[-1] :][:4], "little"))
    return at


def refused(path, code="GALLERY_DAMAGED"):
    before = path.read_bytes()
    with pytest.raises(ServingError) as error:
        read(path)
    assert error.value.code == code
    assert path.read_bytes() == before
    return error.value.text


def test_what_was_appended_is_read_in_its_order(tmp_path):
    path = tmp_path / "log"
    written(path, [CONTENTS[:1], [], CONTENTS[1:]])

    assert read(path) == CONTENTS
    log = RecordLog.open(path, KEY, lambda _: None)
    log.append([b"fifth"])
    log.close()
    assert read(path) == [*CONTENTS, b"fifth"]


def test_a_record_that_a_crash_has_torn_at_any_byte_is_cut_off_and_no_other(tmp_path):
    path = tmp_path / "log"
    written(path, [CONTENTS[:3]])
    before = path.read_bytes()
    log = RecordLog.open(path, KEY, lambda _: None)
    log.append(CONTENTS[3:])
    log.close()
    whole = path.read_bytes()

    for length in range(len(before), len(whole)):
        # The disk has part of the record, and the mark of the time before.
        for rest in (b"", bytes(len(whole) - length)):
            path.write_bytes(before[:RECORDS_START] + whole[RECORDS_START:length] + rest)
            assert read(path) == CONTENTS[:3], length
            assert path.stat().st_size == len(before)
            assert read(path) == CONTENTS[:3], length


def test_a_whole_record_that_was_not_acknowledged_is_kept_from_then_on(tmp_path):
    path = tmp_path / "log"
    before = written(path, [CONTENTS[:3]])
    log = RecordLog.open(path, KEY, lambda _: None)
    log.append(CONTENTS[3:])
    log.close()
    whole = path.read_bytes()

    path.write_bytes(before[:RECORDS_START] + whole[RECORDS_START:])

    assert read(path) == CONTENTS
    path.write_bytes(path.read_bytes()[:-1])
    assert "record 3 of 4" in refused(path)


def test_a_mark_that_a_crash_has_torn_leaves_the_other(tmp_path):
    path = tmp_path / "log"
    whole = written(path, [[content] for content in CONTENTS])
    for place in MARK_PLACES:
        for torn in (0, 1, 40, 79):
            mark = whole[place : place + torn] + bytes(BLOCK - torn)
            path.write_bytes(whole[:place] + mark + whole[place + BLOCK :])
            assert read(path) == CONTENTS


def test_an_acknowledged_record_that_is_cut_off_is_missed_at_every_byte(tmp_path):
    path = tmp_path / "log"
    whole = written(path, [CONTENTS])
    for length in range(starts(whole)[-2], len(whole)):
        path.write_bytes(whole[:length])
        assert f"record 3 of 4, at byte {starts(whole)[3]}" in refused(path)
    path.write_bytes(whole[: BLOCK - 1])
    assert "4095 bytes" in refused(path)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "log"
    whole = written(path, [CONTENTS[:2], CONTENTS[2:]])
    marks = [byte for place in MARK_PLACES for byte in range(place, place + 80)]
    records = range(RECORDS_START, len(whole))
    head = [*range(300), *range(300, BLOCK, 97)]
    for byte in [*head, *marks, *records]:
        altered = bytearray(whole)
        altered[byte] ^= 1 << random.Random(byte).randrange(8)
        path.write_bytes(altered)
        if byte in marks:  # there is another one
            assert read(path) == CONTENTS
        else:
            refused(path)


def test_records_that_are_swapped_repeated_or_taken_out_are_noticed(tmp_path):
    path = tmp_path / "log"
    contents = [b"equal 1", b"equal 2", b"equal 3", b"equal 4"]
    whole = written(path, [contents])
    at = starts(whole)
    first, second, third, fourth = (whole[a:b] for a, b in pairwise(at))
    orders = {
        "0 of 4": [(second, first, third, fourth), (second, third, fourth)],
        "1 of 4": [(first, first, third, fourth), (first, third, second, fourth)],
        "2 of 4": [(first, second, fourth, third), (first, second, fourth)],
        "3 of 4": [(first, second, third), (first, second, third, third)],
    }
    for place, records in orders.items():
        for order in records:
            path.write_bytes(whole[:RECORDS_START] + b"".join(order))
            assert f"record {place}" in refused(path)


def test_records_of_another_file_or_of_another_past_are_noticed(tmp_path):
    head = FileHead.new("staff", "space")
    one = written(tmp_path / "one", [[b"a"], [b"b"]], head=head)
    other = written(tmp_path / "other", [[b"a"], [b"c"]])
    again = written(tmp_path / "again", [[b"x"], [b"b"]], head=head)
    at = starts(one)
    for foreign in (other, again):
        assert starts(foreign) == at
        mixed = tmp_path / "mixed"
        mixed.write_bytes(one[: at[1]] + foreign[at[1] :])
        assert "record 1 of 2" in refused(mixed)


def test_another_key_is_told_from_damage_and_changes_nothing(tmp_path):
    path = tmp_path / "log"
    whole = written(path, [CONTENTS])
    path.write_bytes(whole + b"torn")

    with pytest.raises(ServingError, match="another key") as error:
        read(path, OTHER_KEY)

    assert error.value.code == "WRONG_GALLERY_KEY"
    assert path.read_bytes() == whole + b"torn"
    assert read(path) == CONTENTS


def test_nothing_can_be_read_in_the_file(tmp_path):
    whole = written(tmp_path / "log", [[b"anna@example.org"] * 3])

    assert b"anna" not in whole
    at = starts(whole)
    records = {whole[a:b] for a, b in pairwise(at)}
    assert len(records) == 3
