"""Data URIs are read as browsers read them, and what cannot be read says why."""

import re
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from random import Random
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.domain import data_uri
from face_import.domain.data_uri import DataUriError, decode_data_uri, is_base64_image
from face_import.domain.uri import to_data_uri

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NOISE = Random(7).randbytes(3000)  # noqa: S311 - not a secret


def forgiving(text: str) -> bytes | None:
    """https://infra.spec.whatwg.org/#forgiving-base64-decode, step by step; None is failure."""
    text = re.sub("[\t\n\f\r ]", "", text)
    if len(text) % 4 == 0:
        text = re.sub("==?$", "", text)
    if len(text) % 4 == 1 or any(char not in ALPHABET for char in text):
        return None
    bits = "".join(f"{ALPHABET.index(char):06b}" for char in text)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - len(bits) % 8, 8))


def decoded(payload: str) -> bytes | None:
    """What comes of base64, None if it is refused."""
    try:
        return decode_data_uri(f"data:image/png;base64,{payload}", 100_000)
    except DataUriError:
        return None


@given(st.text(st.sampled_from("AQgz09+/==  \t\n\r\f\v#"), max_size=24))
def test_base64_is_read_by_the_standard(payload: str) -> None:
    """Whatever the white space and padding: the bytes that a browser has, or a refusal where it refuses."""
    assert decoded(payload) == forgiving(payload)
    with patch.object(data_uri, "_AT_ONCE", 5):  # as longer ones are, in pieces
        assert decoded(payload) == forgiving(payload)
        assert decoded(quote(payload)) == forgiving(payload)


@given(st.binary(max_size=3000), st.data())
def test_any_way_to_write_base64_gives_the_same_bytes(data: bytes, draw: st.DataObject) -> None:
    """Wrapped, unpadded, URL-safe, percent-encoded, or all of that."""
    text = draw.draw(st.sampled_from([b64encode, urlsafe_b64encode]))(data).decode()
    if draw.draw(st.booleans()):
        text = text.rstrip("=")
    if width := draw.draw(st.sampled_from([0, 64, 76, 77])):
        end = draw.draw(st.sampled_from(["\n", "\r\n", "\n  ", "\t"]))
        text = end.join(text[at : at + width] for at in range(0, len(text), width))
    if draw.draw(st.booleans()):
        text = quote(text)
    assert decoded(text) == data


@given(st.text(max_size=200))
def test_nothing_else_is_raised(text: str) -> None:
    """Whatever stands in the cell, decoding gives bytes or a reason."""
    for uri in (text, f"data:{text}", f"data:,{text}", f"data:;base64,{text}", f"http://{text}"):
        with suppress(DataUriError):
            decode_data_uri(uri, 100)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:,a%20b%FF", b"a b\xff"),
        ("data:,", b""),
        ("data:;base64,", b""),
        ("DATA:image/png;BASE64,aGk=", b"hi"),
        ("data:image/png;name=a;base64,aGk%3D", b"hi"),
        ("data:;base64,%2B%2F%2B%2F", b"\xfb\xff\xbf"),
        ("data: image/png;charset=utf-8; base64 ,aGk=", b"hi"),
        ("data:image/png;base64\r\n, aGk=\r\n", b"hi"),
        ("data:image/png;base64,aG k=", b"hi"),
        ("data:image/png;base64,-_-_", b"\xfb\xff\xbf"),
        ("data:image/png;base64,a%0AGk", b"hi"),
    ],
)
def test_data_uris_are_decoded(uri: str, expected: bytes) -> None:
    """Both encodings of RFC 2397 are read, with white space and in any case."""
    assert decode_data_uri(uri, 100) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:image/png;base64,aGkxa", "damaged base64: characters are missing at its end"),
        ("data:image/png;base64,aGk==", "damaged base64: its length does not match the '=' at its end"),
        ("data:image/png;base64,aG=k", "'=' at position 3 after the comma, before the end"),
        ("data:image/png;base64,aGk=aGk=", "'=' at position 4 after the comma, before the end"),
        ("data:image/png;base64,####", "not base64: character '#' at position 1 after the comma"),
        ("data:image/png;base64,aG\u200bk=", r"character '\\u200b' at position 3"),
        ("data:image/\u00e9;base64,aGk=\ud800", r"character '\\ud800' at position 5"),
        ("data:image/png;base64,aG%3D\ud800", r"character '%' at position 3"),
        ("data:image/png;base64,aGk=é", "character 'é' at position 5"),
        ("data:image/png;base64,b'aGk='", r"Python's b'\.\.\.' is around the base64"),
        ("data:image/png;base64, data:image/png;base64,aGk=", "is there twice"),
        ("data:image/png;base64,aG 1x aGkxa", "spaces where a '\\+' was"),
        ("data:image/png;base64;charset=utf-8,aGk=", "';base64' must be the last thing before the comma"),
        ("data:image/jpeg,/9j/4AAQSkZJRgABAQ", "';base64' is missing before the comma"),
        ("data:,é", "non-ASCII characters"),
        ("data:image/png", "no comma"),
        ("http://a/,b", "not a data URI"),
        ("data:," + "x" * 101, "larger than 100 bytes"),
        (to_data_uri(bytes(101)), "larger than 100 bytes"),
        (to_data_uri(bytes(100_000)), "larger than 100 bytes"),
        ("data:;base64," + "\n" * 500 + "A" * 400, "larger than 100 bytes"),
    ],
    ids=lambda value: ascii(value[:48]),
)
def test_damaged_data_uris_say_how(uri: str, expected: str) -> None:
    """What is wrong is named, and where."""
    with pytest.raises(DataUriError, match=expected):
        decode_data_uri(uri, 100)


def test_white_space_does_not_count_as_size() -> None:
    """An image of the largest size may be wrapped."""
    text = b64encode(NOISE[:2000]).decode()
    wrapped = "\r\n".join(text[at : at + 4] for at in range(0, len(text), 4))
    assert decode_data_uri(f"data:;base64,{wrapped}", 2000) == NOISE[:2000]


@pytest.mark.parametrize("size", range(2994, 3001))
def test_a_plus_that_became_a_space_is_no_white_space(size: int) -> None:
    """An image would otherwise become another one, whenever the length allows it."""
    text = b64encode(NOISE[:size]).decode()
    assert "+" in text
    with pytest.raises(DataUriError, match="a '\\+' was"):
        decode_data_uri(f"data:;base64,{text.replace('+', ' ')}", 10_000)


def test_lines_may_be_separated_by_spaces() -> None:
    """Of one length, as a tool leaves them that makes one line of many; even if there is no `+`."""
    data = bytes(3000)
    text = b64encode(data).decode()
    lines = [text[at : at + 76] for at in range(0, len(text), 76)]
    assert decode_data_uri(f"data:;base64, {' '.join(lines)} ", 10_000) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b64encode(b"\xff\xd8\xff\xe0" + bytes(50)).decode(), True),
        (urlsafe_b64encode(b"\xff\xd8\xff\xe0" + bytes(50)).decode(), True),
        (b64encode(b"\x89PNG\r\n\x1a\n" + bytes(50)).decode(), True),
        (b64encode(b"RIFF" + bytes(50)).decode(), True),
        (b64encode(b"plain text is not an image").decode(), False),
        ("/9j/photo.of.anna.jpg", False),
        ("/9j/a", False),
        ("", False),
    ],
)
def test_bare_base64_is_known_by_its_beginning(text: str, expected: bool) -> None:
    """Of the usual formats, and never a path."""
    assert is_base64_image(text) is expected


SIZE = 2**22


@pytest.mark.parametrize(
    ("written", "times"),
    [
        (lambda text: text, 1.8),
        (lambda text: "\n".join(text[at : at + 76] for at in range(0, len(text), 76)), 2.1),
        (lambda text: text.rstrip("="), 2.1),
        (lambda text: quote(text.replace("+", "%2B")[:SIZE], safe="/+%"), 2.6),
        (lambda text: text[:-1] + "#", 2.1),
        (lambda text: " " * len(text), 2.1),
    ],
    ids=["clean", "wrapped", "unpadded", "percent", "damaged", "spaces"],
)
def test_a_large_cell_is_held_a_few_times_only(written: Callable[[str], str], times: float) -> None:
    """Beside the cell itself: its payload, and one step of decoding at a time."""
    data = NOISE * (SIZE // len(NOISE) * 3 // 4) + NOISE[:-1]
    uri = "data:;base64," + written(b64encode(data).decode())
    tracemalloc.start()
    try:
        with suppress(DataUriError):
            decode_data_uri(uri, SIZE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < times * len(uri) + 2**18, f"{peak / len(uri):.2f} times"
