"""URIs: what they hold and how they are shown."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.domain.uri import DataUriError, decode_data_uri, display, redact, scheme_of, to_data_uri


@given(st.binary(max_size=3000))
def test_bytes_survive_a_data_uri(data: bytes) -> None:
    """What is wrapped comes out unchanged, and exactly fits its own size."""
    uri = to_data_uri(data)
    assert uri.startswith("data:application/octet-stream;base64,")
    assert decode_data_uri(uri, len(data)) == data


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:,a%20b%FF", b"a b\xff"),
        ("DATA:image/png;BASE64,aGk=", b"hi"),
        ("data:image/png;name=a;base64,aGk%3D", b"hi"),
        ("data:;base64,%2B%2F%2B%2F", b"\xfb\xff\xbf"),
        ("data:,", b""),
    ],
)
def test_data_uris_are_decoded(uri: str, expected: bytes) -> None:
    """Both encodings of RFC 2397 are read, in any case, escaped or not."""
    assert decode_data_uri(uri, 100) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:image/png;base64,aGk", "damaged base64"),
        ("data:image/png;base64,aG k=", "damaged base64"),
        ("data:image/png;base64,aGk=\n", "damaged base64"),
        ("data:image/png;base64,aGk=aGk=", "damaged base64"),
        ("data:image/png;base64,a-_=", "damaged base64"),
        ("data:image/png;base64,é", "non-ASCII characters"),
        ("data:image/png", "no comma"),
        ("http://a/,b", "not a data URI"),
        ("data:," + "x" * 101, "larger than 100 bytes"),
        (to_data_uri(bytes(101)), "larger than 100 bytes"),
        (to_data_uri(bytes(100_000)), "larger than 100 bytes"),
    ],
)
def test_damaged_data_uris_say_how(uri: str, expected: str) -> None:
    """A cell that was damaged on its way is not taken for a picture."""
    with pytest.raises(DataUriError, match=expected):
        decode_data_uri(uri, 100)


@given(st.text(max_size=200))
def test_nothing_else_is_raised(text: str) -> None:
    """Whatever stands in the cell, decoding gives bytes or a reason, and showing it never fails."""
    for uri in (text, f"data:{text}", f"data:,{text}", f"data:;base64,{text}", f"http://{text}"):
        display(uri)
        redact(uri)
        scheme_of(uri)
        with suppress(DataUriError):
            decode_data_uri(uri, 100)


def test_a_long_data_uri_is_shown_by_its_hash() -> None:
    """Media type, length and SHA-256 stand for the text; anything else is shown as it stands."""
    uri = "data:image/jpeg;base64," + "A" * 2000
    digest = hashlib.sha256(uri.encode()).hexdigest()
    assert display(uri) == f"data:image/jpeg;base64,… (2023 bytes, sha256 {digest})"
    assert display("data:,short") == "data:,short"
    assert display("http://a/" + "b" * 5000) == "http://a/" + "b" * 5000
    assert len(display("data:" + "x" * 5000)) < 120
    assert len(display("data:" + "x" * 5000 + ",")) < 120


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://u:secret@h.example:8443/a/b.jpg?sig=secret#secret", "https://h.example:8443/a/b.jpg?…"),
        ("https://h.example/a.jpg", "https://h.example/a.jpg"),
        ("http://u:secret@x@h/a", "http://h/a"),
        ("data:image/png;base64,secret", "data:… (28 characters)"),
        ("http://[secret", "(not a URL)"),
        ("http://h/" + "a" * 9000, "http://h/" + "a" * 291),
        ("http://h/" + "a" * 4090 + "u:secret@x/b", "http://h/"),
        ("http:u:secret@h.example/a.jpg?sig=secret", "http:///h.example/a.jpg?…"),
        ("https://h.example/https://u:secret@x/a.jpg", "https://h.example/https://x/a.jpg"),
        ("simplecache::ftp://u:secret@h/a?sig=secret", "simplecache::ftp://h/a?…"),
        ("https://h.example/@name/a:b.jpg", "https://h.example/@name/a:b.jpg"),
        ("picture.jpg", "picture.jpg"),
    ],
)
def test_secrets_stay_out_of_process_logs(uri: str, expected: str) -> None:
    """Neither user nor password nor query nor picture reaches a process log."""
    assert redact(uri) == expected
