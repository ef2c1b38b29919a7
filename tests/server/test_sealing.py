# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from mien_server.sealing import IDENTITY_KEY_VARIABLE, SealError, Seals, identity_key, new_key

KEY = bytes(range(32))


def seals(form="thing1", space="weights", key=KEY, max_chars=1000):
    return Seals(key, form=form, name="thing", space=space, max_chars=max_chars)


@pytest.mark.parametrize("content", [b"", b"content", bytes(range(256))])
def test_what_was_sealed_is_opened_by_whoever_has_the_key(content):
    assert seals().open(seals().seal(content)) == content


@pytest.mark.parametrize("number", range(40))
def test_no_character_can_be_changed(number):
    text = seals().seal(b"content")
    place = number * len(text) // 40
    other = "A" if text[place] != "A" else "B"

    with pytest.raises(SealError):
        seals().open(text[:place] + other + text[place + 1 :])


def test_contents_of_one_form_are_none_of_another_whatever_they_claim():
    text = seals(form="other1").seal(b"content")

    with pytest.raises(SealError, match="no thing"):
        seals().open(text)
    with pytest.raises(SealError, match="altered"):
        seals().open("thing1" + text[len("other1") :])


def test_a_text_that_is_too_long_is_refused_unread():
    text = seals().seal(bytes(100))

    with pytest.raises(SealError, match=f"no thing .*{len(text)} characters"):
        seals(max_chars=len(text) - 1).open(text)


def test_the_key_is_read_from_the_environment():
    text = new_key()

    assert identity_key({}) is None
    assert identity_key({IDENTITY_KEY_VARIABLE: text}) == base64.b64decode(text)
    assert len(base64.b64decode(text)) == 32
    assert text != new_key()
    for wrong in ("", "secret", base64.b64encode(b"short").decode()):
        with pytest.raises(ValueError, match=r"32 random bytes in base64.*something else") as error:
            identity_key({IDENTITY_KEY_VARIABLE: wrong})
        assert not wrong or wrong not in str(error.value)
