"""What came in place of an image is named."""

import pytest

from face_import.domain.bounds import ImageError, NotAnImage
from face_import.domain.formats import refusal

PAGE = "a web page, not an image: is it behind a login?"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html>", PAGE),
        (b"\xef\xbb\xbf\r\n  <HTML lang=en>", PAGE),
        (b"<!-- generated -->\n<html><svg>", PAGE),
        (b"<head><meta http-equiv=refresh content='0;url=/x'>", PAGE),
        (b"<script>location='/x'</script>", PAGE),
        (
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>",
            "XML, not an image: AccessDenied",
        ),
        (b"<rss></rss>", "XML, not an image"),
        (b' {"error": "no"}', "JSON, not an image"),
        (b"[]", "JSON, not an image"),
        (b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8", "a multipart answer, not an image"),
        (b"Not found", "text, not an image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document, not an image"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or Office document, not an image"),
        (b"\x1f\x8b\x08\0", "a gzip archive, not an image"),
        (b"<" * 100_000, "XML, not an image"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_it_is_told_by_its_beginning(data: bytes, words: str) -> None:
    """Whatever label it came with."""
    error = refusal(data)
    assert (type(error), str(error)) == (NotAnImage, words)


@pytest.mark.parametrize(
    "data", [b"", b"<?xml version='1.0'?><svg xmlns='x'>", bytes(99), b"\x89PNG\r\n", b"\xe5\x9b\xbe\xe7\x89\x87"]
)
def test_what_may_be_an_image_is_not_something_else(data: bytes) -> None:
    """Of another format, or damaged in its first bytes."""
    assert type(refusal(data)) is ImageError
