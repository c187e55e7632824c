"""Telling the encoding of a file without a byte order mark by the words in it that are not ASCII."""

import codecs
import re
from collections.abc import Iterable, Sequence

from face_import.domain.charsets import name_of
from face_import.sources.plausible import (
    LONGEST_WORD,
    MARGIN,
    Interpretation,
    decoded,
    likelihood,
    likelihood_of_utf8,
    readings,
)

_SAMPLE_BYTES = 16 * 2**10
"""Some 2,000 names: far more than it takes, and decided in less than a second."""

_BEFORE = 16
"""ASCII letters kept in front of the first byte of a word that is not one."""

_REST_OF_WORD = re.compile(rb"[\x80-\xff][^\x00-\x2f]*")
_ENDS = bytes(48) + bytes(range(48, 256))
_UTF8_CHARACTERS = 32
_UTF8_PRIOR = 4.0
"""In nats: most files are UTF-8, and few others are valid as UTF-8."""

_ASCII = bytes(range(128))
_SHOWN = 3
_SHOWN_CHARACTERS = 24
_ADVICE = 'save the file as "CSV UTF-8" in Excel or WPS, or name its encoding in the field "encoding"'


class Undecided(UnicodeError):
    """No encoding makes sense of a text, or several do."""


class Sample:
    """The distinct words of a stream that are not ASCII, up to 16 KiB.

    Words end at bytes below 0x30 (space, comma, quotation mark, slash, full stop, line end): in no encoding considered
    is such a byte a part of a character. ASCII words tell nothing, and repeated ones nothing new. Of a long word 64
    bytes are kept, which may end inside a character.
    """

    def __init__(self) -> None:
        self._words: dict[bytes, None] = {}
        self._size = 0
        self._open = b""

    @property
    def is_full(self) -> bool:
        """Whether nothing more is collected."""
        return self._size >= _SAMPLE_BYTES

    def add(self, chunk: bytes) -> None:
        """Collect the words that end in a chunk."""
        data = self._open + chunk
        ends = data.translate(_ENDS)
        self._open = data[max(ends.rfind(b"\0") + 1, len(data) - _BEFORE) :]
        for match in _REST_OF_WORD.finditer(data):
            start = max(ends.rfind(b"\0", 0, match.start()) + 1, match.start() - _BEFORE)
            word = data[start : min(match.end(), start + LONGEST_WORD)]
            if match.end() == len(data):
                self._open = word
            elif self.is_full:
                break
            else:
                self._keep(word)

    def words(self) -> tuple[bytes, ...]:
        """What was collected, with the word that is still open."""
        if not self.is_full:
            self._keep(self._open)
        return tuple(self._words)

    def _keep(self, word: bytes) -> None:
        if not word.isascii() and word not in self._words:
            self._words[word] = None
            self._size += len(word)


def chosen_encoding(chunks: Iterable[bytes]) -> str:
    """Read as much as it takes to tell the encoding, and name its codec.

    UTF-8 is certain with 32 different characters beyond ASCII, all valid. A file with fewer may be valid by accident:
    女 in GBK is Ů in UTF-8.

    Args:
        chunks: the text from its first character beyond ASCII on.

    Raises:
        Undecided: with the readings, and what to do.
    """
    sample = Sample()
    decoder = codecs.getincrementaldecoder("utf-8")()
    seen: set[str] | None = set()
    for chunk in chunks:
        sample.add(chunk)
        if seen is not None:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                seen = None
            else:
                seen.update(chunk.translate(None, _ASCII).decode("utf-8", "ignore"))
                if len(seen) >= _UTF8_CHARACTERS:
                    return "utf-8"
        if seen is None and sample.is_full:
            break
    if decoder.getstate()[0]:
        seen = None
    return _of_utf8(sample.words(), seen) if seen else _of_others(sample.words())


def _of_utf8(words: Sequence[bytes], seen: set[str]) -> str:
    """The encoding of a text that is valid UTF-8, but has a few characters only."""
    if max(seen) >= "\u0800":  # three bytes each, which other texts are not by accident
        return "utf-8"
    text = decoded(words, "utf-8") or ()
    as_utf8 = Interpretation("utf-8", text, likelihood_of_utf8(text) + _UTF8_PRIOR, is_told=True)
    return _decided(sorted([as_utf8, *readings(words)], key=lambda reading: -reading.score))


def _of_others(words: Sequence[bytes]) -> str:
    found = readings(words)
    # A file whose parts are in different encodings: as UTF-8, the first line that is not will be named.
    return "utf-8" if _is_partly_utf8(words, found) else _decided(found)


def _is_partly_utf8(words: Sequence[bytes], found: Sequence[Interpretation]) -> bool:
    valid = [(n, text[0]) for n, word in enumerate(words) if (text := decoded([word], "utf-8"))]
    best = next((reading for reading in found if reading.makes_sense), None)
    if best is None:
        return 2 * len(valid) >= len(words)
    return any(likelihood_of_utf8([text]) > likelihood(best.codec, [best.words[n]]) + 2 * MARGIN for n, text in valid)


def _decided(found: Sequence[Interpretation]) -> str:
    """The first reading's encoding, if it may be chosen and leads by the margin."""
    if not any(reading.makes_sense for reading in found):
        raise Undecided(f"no encoding that is recognised makes sense of this text; {_ADVICE}")
    best = found[0]
    rivals = [reading for reading in found if reading.score > best.score - MARGIN]
    if best.is_told and best.makes_sense and len(rivals) == 1:
        return best.codec
    at = _first_difference(rivals)
    shown = " or ".join(f'"{_shown(reading.words[at])}" ({name_of(reading.codec)})' for reading in rivals[:_SHOWN])
    raise Undecided(f"the encoding cannot be told for certain: a word may be {shown}; {_ADVICE}")


def _first_difference(rivals: Sequence[Interpretation]) -> int:
    columns = zip(*(reading.words for reading in rivals), strict=True)
    return next((at for at, words in enumerate(columns) if len(set(words)) > 1), 0)


def _shown(word: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in word[:_SHOWN_CHARACTERS])
