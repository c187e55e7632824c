"""URIs: what they hold and how they are shown."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.domain.data_uri import decode_data_uri
from face_import.domain.uri import cleaned, display, is_shortened, looks_like_uri, redact, to_data_uri


@given(st.binary(max_size=3000))
def test_bytes_survive_a_data_uri(data: bytes) -> None:
    """What is wrapped comes out unchanged, and exactly fits its own size."""
    uri = to_data_uri(data)
    assert uri.startswith("data:application/octet-stream;base64,")
    assert decode_data_uri(uri, len(data)) == data


UNSEEN = "\u200b\u200e\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069\u00a0\u3000 \t\r\n\v\0\x1f\x7f\x85"


@given(st.text(st.sampled_from(UNSEEN)), st.text(st.sampled_from(UNSEEN)))
def test_what_is_around_a_uri_unseen_is_removed(before: str, after: str) -> None:
    """Of every kind, but nothing from its inside."""
    uri = "http://x/a\u200b \u00a0b.jpg"
    assert cleaned(before + uri + after) == uri


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    """And all white space that Python knows goes."""
    once = cleaned(text)
    assert cleaned(once) == once == once.strip()
    assert once in text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("http://x/a.jpg", True),
        ("\ufeff\u00a0HTTPS://x/a.jpg", True),
        ("http:/x", True),
        ("ftp://x/a.jpg", True),
        ("data:,", True),
        ("s3://b/k", True),
        ("C:\\a.jpg", False),
        ("anna", False),
        ("//x/a.jpg", False),
        ("12:30", False),
        ("a b: c", False),
        ("", False),
        ("\u200b" * 100 + "http://x", False),
        ("a" * 40 + ":", False),
    ],
    ids=ascii,
)
def test_a_uri_begins_with_a_scheme(cell: str, expected: bool) -> None:
    """Of at least two letters, and it has to be at the beginning."""
    assert looks_like_uri(cell) is expected


ANY_CELL = st.one_of(
    st.text(max_size=3000),
    st.text(st.sampled_from('\0"\\人😀,:/'), min_size=100, max_size=9000),
    st.sampled_from([1023, 1024, 1400, 1500, 1501, 8192]).map(lambda size: "http://h/".ljust(size, "a")),
)


@given(st.sampled_from(["", "data:", "data:,", "data:;base64,", "http://h/"]), ANY_CELL)
def test_no_log_line_is_long(start: str, cell: str) -> None:
    """Whatever stands in the cell, a line of the log has room for it and for its message."""
    shown = display(start + cell)
    for line in (json.dumps(shown, ensure_ascii=False), shown.replace('"', '""')):
        assert len(line.encode("utf-8", "surrogatepass")) <= 1502
    assert shown == start + cell or is_shortened(shown)


def test_an_ordinary_url_is_shown_in_full() -> None:
    """Also a signed one, as a failed row is to be found by it."""
    url = "http://h.example/a.jpg?X-Amz-Signature=".ljust(1500, "0")
    assert display(url) == url
    assert not is_shortened(url)
    digest = hashlib.sha256(f"{url}0".encode()).hexdigest()
    assert display(f"{url}0") == f"{url[:200]}… (1501 bytes, sha256 {digest})"
    assert is_shortened(display(f"{url}0"))


def test_a_long_data_uri_is_shown_by_its_hash() -> None:
    """Media type, length and SHA-256 stand for the text."""
    uri = "data:image/jpeg;base64," + "A" * 2000
    digest = hashlib.sha256(uri.encode()).hexdigest()
    assert display(uri) == f"data:image/jpeg;base64,… (2023 bytes, sha256 {digest})"
    assert display("data:,short") == "data:,short"
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
    no_host = expected.replace("///", "")  # as Python 3.13 writes it
    assert redact(uri) in {expected, no_host}


@given(st.text(max_size=200))
def test_no_text_is_too_odd_for_a_process_log(text: str) -> None:
    """Whatever stands in the cell, showing it never fails."""
    for uri in (text, f"data:{text}", f"http://{text}"):
        assert len(redact(uri)) <= 300
