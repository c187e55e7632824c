"""What an answer's body is: looked at first, and its labels only where the bytes do not say it."""

import re
import zlib
from collections.abc import Callable, Sequence

import brotli
from backports import zstd

from face_import.clients.transfer import FetchError
from face_import.contract import Reason

_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM|RIFF....WEBP|II[*+]\x00|MM\x00[*+]|\x00\x00\x01\x00|\xff\x0a|\xff\x4f\xff\x51"
    rb"|\x00\x00\x00\x0c(?:JXL |jP  )|....ftyp(?:avi[fs]|hei[cfmsx]|hev[cmsx]|mi[af]1|msf1|jp2 |mp42)",
    re.DOTALL,
)
_GZIP = b"\x1f\x8b"
_MOST_LAYERS = 3
_ENCODINGS = {"gzip", "x-gzip", "deflate", "br", "zstd"}
_LEAST_WINDOW_LOG = 23
"""Windows of 8 MiB, which RFC 9659 lets senders use."""

_BEFORE_PARTS = {b"-", b"\r", b"\n"}


class NotEncoded(ValueError):
    """The bytes are not in the encoding."""


def is_image(data: bytes) -> bool:
    """Whether bytes begin as an image file does, of any format that is known."""
    return _IMAGE.match(data) is not None


def begins_stream(data: bytes) -> bool:
    """Whether an answer begins as a multipart one does, such as a camera's stream, which never ends."""
    return data[:1] in _BEFORE_PARTS and data.lstrip().startswith(b"--")


def is_whole(data: bytes) -> bool:
    """Whether an image is complete by its own format, although its transfer was not."""
    if data.startswith(b"\xff\xd8"):
        return data.endswith(b"\xff\xd9") and _reaches_scan(data)
    if data.startswith(b"\x89PNG"):
        return data.endswith(b"IEND\xaeB`\x82")
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if data.startswith(b"BM"):
        return len(data) >= int.from_bytes(data[2:6], "little") > 0
    return data.startswith(b"GIF8") and data.endswith(b"\0;")


def encodings_of(header: str) -> list[str]:
    """The encodings that a `Content-Encoding` names and that can be undone, in the order in which they were applied.

    Others, such as `utf-8` and `aws-chunked`, are mistakes or name no change of the bytes.

    Raises:
        FetchError: there are too many.
    """
    named = [name for part in header.split(",") if (name := part.strip().lower()) in _ENCODINGS]
    if len(named) > _MOST_LAYERS:
        raise FetchError(f"Content-Encoding: more than {_MOST_LAYERS} encodings", Reason.INVALID_ANSWER)
    return named


def undone(data: bytes, encodings: Sequence[str], most: int) -> bytes:
    """Undo encodings until the bytes are an image.

    Args:
        data: as it came.
        encodings: of `encodings_of`.
        most: bytes that any of the steps may result in.

    Raises:
        FetchError: the bytes are not in that encoding, or too many come out.
    """
    left = list(encodings)
    for _ in range(_MOST_LAYERS):
        if is_image(data):
            break
        if not left and "gzip" in encodings and data.startswith(_GZIP):  # encoded twice, said once
            left.append("gzip")
        if not left:
            break
        encoding = left.pop()
        try:
            data = _DECODERS[encoding](data, most)
        except (NotEncoded, zlib.error, brotli.error, zstd.ZstdError):
            raise FetchError(
                f"the host says Content-Encoding: {encoding}, but the answer is neither that nor an image",
                Reason.INVALID_ANSWER,
            ) from None
        if len(data) > most:
            raise FetchError(f"larger than {most} bytes", Reason.TOO_LARGE)
    return data


def _reaches_scan(data: bytes) -> bool:
    """Whether a JPEG's header is complete: a thumbnail in it has an end of its own."""
    at = 2
    while data.startswith(b"\xff", at) and at + 4 <= len(data):
        if data[at + 1] == 0xDA:
            return True
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])
    return False


def _gunzipped(data: bytes, most: int) -> bytes:
    parts, size = [], 0
    while data.startswith(_GZIP) and size <= most:
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        parts.append(decoder.decompress(data, most + 1 - size))
        size += len(parts[-1])
        if size <= most and not decoder.eof and not is_whole(b"".join(parts)):
            raise NotEncoded
        data = decoder.unused_data
    if not parts:
        raise NotEncoded
    return b"".join(parts)


def _inflated(data: bytes, most: int) -> bytes:
    """Undo `deflate`, which is zlib's format by the standard, and raw from some hosts."""
    wrapped = len(data) >= 2 and data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
    decoder = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
    return _ended(decoder.decompress(data, most + 1), most, ended=decoder.eof)


def _unbrotlied(data: bytes, most: int) -> bytes:
    decoder = brotli.Decompressor()
    parts = [decoder.process(data, output_buffer_limit=most + 1)]
    size = len(parts[0])
    while size <= most and not decoder.is_finished() and not decoder.can_accept_more_data():
        parts.append(decoder.process(b"", output_buffer_limit=most + 1 - size))
        size += len(parts[-1])
    return _ended(b"".join(parts), most, ended=decoder.is_finished())


def _unzstded(data: bytes, most: int) -> bytes:
    window = {int(zstd.DecompressionParameter.window_log_max): max(_LEAST_WINDOW_LOG, min(most.bit_length(), 31))}
    decoder = zstd.ZstdDecompressor(options=window)
    return _ended(decoder.decompress(data, most + 1), most, ended=decoder.eof)


def _ended(out: bytes, most: int, *, ended: bool) -> bytes:
    if not ended and len(out) <= most and not is_whole(out):
        raise NotEncoded
    return out


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _inflated,
    "br": _unbrotlied,
    "zstd": _unzstded,
}
