"""What makes two rows of a recurring import the same, and one of them changed."""

import hashlib

from face_import.domain.models import Row


def row_key(row: Row) -> bytes:
    """What makes it the same row in the next file: its id or, if it has none, its URI; a digest of 32 bytes."""
    return _digest("id", row.id) if row.id else _digest("uri", row.uri)


def face_id_of(entry: str, row: Row, digest: bytes) -> str:
    """The row's own id, else 32 hexadecimal digits of entry, URI and what is imported (`content_digest`).

    So a face that we made an id for has another one after each change, and no delete that a library carries out late
    can hit the new face.
    """
    return row.id or _digest(entry, row.uri, digest).hex()[:32]


def cells_digest(row: Row) -> bytes:
    """Digest of the cells, 32 bytes."""
    return _digest(row.uri, row.tag, row.description)


def content_digest(row: Row, data: bytes) -> bytes:
    """Digest of what is imported, 32 bytes: the URI is where it comes from, and may change for signed URLs."""
    return _digest(row.tag, row.description, data)


def _digest(*parts: str | bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()
