"""What came in place of an image: pages, errors and documents, told by their first bytes."""

import re

_LOOKED_AT = 2048
_BOM = b"\xef\xbb\xbf"
_TEXT = re.compile(rb"[\t\n\f\r\x20-\x7e][\t\n\f\r\x20-\x7e\x80-\xff]{0,63}\Z")
_FILES = {b"%PDF-": "a PDF document", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "gzip"}
_ERROR_CODE = re.compile(r"<Code>([\w.-]{1,60})</Code>", re.IGNORECASE)
"""Of an object store, such as AccessDenied."""
_PAGE = "a web page, not an image: is it behind a login?"
_TEXTS = (
    (re.compile(r"(?s)(?!.*<html).*<svg[\s>]"), "an SVG drawing, which is not supported: use JPEG or PNG"),
    (re.compile(r"<(?:!doctype html|head|body|script|meta|title|p|div|h1)\b|(?s:.*)<html\b"), _PAGE),
    (re.compile("<"), "XML, not an image"),
    (re.compile(r"[{\[]"), "JSON, not an image"),
    (re.compile("--"), "a multipart answer, not an image"),
)
"""Beginnings in lower case, in this order."""


def described(data: bytes) -> str:
    """Return what bytes are that could not be read as an image, and what to do; empty if they might be a damaged one.

    Args:
        data: a whole file.
    """
    if kind := next((kind for start, kind in _FILES.items() if data.startswith(start)), ""):
        return f"{kind}, not an image"
    if not data.startswith(_BOM) and not _TEXT.match(data[:64]):
        return ""
    text = data[:_LOOKED_AT].decode("utf-8-sig", "replace").lstrip()
    low = text.lower()
    what = next((what for form, what in _TEXTS if form.match(low)), "text, not an image")
    code = _ERROR_CODE.search(text) if what.startswith("XML") else None
    return f"{what}: {code[1]}" if code else what
