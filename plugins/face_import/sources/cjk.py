"""How probable Chinese, Japanese and Korean characters are.

A character costs what its class does: about the logarithm of the class's size, in nats. First come those that are
common in names (`alphabets`: 200 to 650), then what the character sets order by use (level 1 of GB 2312, Big5 and JIS,
the syllables of KS X 1001: 2,000 to 5,000, and these make up less of a text), then the rest.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from face_import.sources import alphabets
from face_import.sources.latin import IRREGULAR, SWITCH, zipf

_NEVER = -25.0
_GENDER = -3.5
"""A column that says 男 or 女 may be all there is beyond ASCII."""


def cjk(rank: Callable[[str], float]) -> Callable[[Sequence[str]], float]:
    """Sum of the characters' ranks, less where they touch a Latin letter."""
    rank = cache(rank)

    def score(words: Sequence[str]) -> float:
        total = 0.0
        for word in words:
            for before, char in pairwise(f" {word}"):
                if char.isascii():
                    total += SWITCH if char.isalpha() and not before.isascii() else 0
                else:
                    total += rank(char) + (SWITCH if before.isascii() and before.isalpha() else 0)
        return total

    return score


def _is_private(char: str) -> bool:
    return unicodedata.category(char) in {"Co", "Cn", "Cc"}


def gb18030(char: str) -> float:
    """Simplified Chinese, or Traditional in GBK."""
    if char in alphabets.SIMPLIFIED:
        return _GENDER if char in "男女" else -6.5
    if char in alphabets.TRADITIONAL:
        return -9.0
    code = char.encode("gb18030")
    if _is_private(char) or len(code) == 4:
        return -10.0 if unicodedata.name(char, "").startswith("CJK UNIFIED") else _NEVER
    lead, trail = code[0], code[1] if len(code) > 1 else 0
    if trail < 0xA1 or lead < 0xA1:
        return -13.5
    if lead < 0xB0:
        return -8.0 if lead in {0xA1, 0xA3} else -12.0
    return -9.0 if lead <= 0xD7 else -11.5


def big5(codec: str) -> Callable[[str], float]:
    """Traditional Chinese."""

    def rank(char: str) -> float:
        if char in alphabets.TRADITIONAL:
            return _GENDER if char in "男女" else -6.5
        code = int.from_bytes(char.encode(codec, "replace"))  # HKSCS has letters that are two characters
        if _is_private(char) or (codec == "cp950" and 0xC6A1 <= code <= 0xC8FE):  # Windows has nothing there
            return _NEVER
        if 0xA440 <= code <= 0xC67E:
            return -9.0
        if 0xC940 <= code <= 0xF9D5:
            return -12.0
        return -8.0 if 0xA140 <= code < 0xA3C0 else -13.5

    return rank


def japanese(char: str) -> float:  # noqa: PLR0911 - a table by ranges
    """Japanese, in full-width characters."""
    if "ぁ" <= char <= "ヶ" or char == "ー":
        return -5.2
    if char in alphabets.KANJI:
        return _GENDER if char in "男女" else -6.8
    try:
        code = int.from_bytes(char.encode("cp932"))
    except UnicodeEncodeError:
        return -15.0
    if _is_private(char):
        return _NEVER
    if 0x889F <= code <= 0x9872:
        return -9.2
    if 0x989F <= code <= 0xEAA4:
        return -12.0
    return -8.0 if 0x8140 <= code < 0x8200 else -13.0


def korean(char: str) -> float:
    """Korean, with the syllables of KS X 1001 before those that only cp949 has."""
    if char in alphabets.HANGUL:
        return -5.8
    if _is_private(char):
        return _NEVER
    try:
        code = int.from_bytes(char.encode("euc_kr"))
    except UnicodeEncodeError:
        return -12.5
    if "가" <= char <= "힣":
        return -9.0
    return -8.0 if 0xA1A1 <= code < 0xA400 else -12.5


_HALF_KANA = zipf(alphabets.HALF_KANA)


def shift_jis(words: Sequence[str]) -> float:
    """Words in full-width characters or half-width kana, which are single bytes."""
    total = _WIDE_AND_HALF(words)
    for word in words:
        for before, char in pairwise(f" {word}"):
            if char not in _HALF_KANA:
                total += SWITCH * (before in _HALF_KANA and not char.isascii())
                continue
            if before not in _HALF_KANA:
                total += SWITCH * (1 if before.isascii() else 2)
            is_first = before not in _HALF_KANA and char in "ﾞﾟｧｨｩｪｫｬｭｮｯｰﾝ"
            is_voiced = (char == "ﾞ" and before not in "ｳｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎ") or (char == "ﾟ" and before not in "ﾊﾋﾌﾍﾎ")
            total += IRREGULAR * (is_first or is_voiced)
    return total


def _half_or_full(char: str) -> float:
    return _HALF_KANA.get(char) or japanese(char)


_WIDE_AND_HALF = cjk(_half_or_full)
