"""Which encoding makes sense of a text: a likelihood of what each one reads, from a few words of names and places.

Every candidate is a model of the texts that are written in it: how probable, in nats, each of its characters is. All
candidates explain the same bytes, so their sums can be compared, and a margin between two of them is a Bayes factor.
Chinese, Japanese and Korean are judged by character (`cjk`), Latin letters by language and by the letters beside them
(`latin`), since cp1252, cp1250 and cp1254 differ in a few letters only.
"""

import codecs
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from face_import.sources import alphabets
from face_import.sources.cjk import big5, cjk, gb18030, japanese, korean, shift_jis
from face_import.sources.latin import FOREIGN, IRREGULAR, PUNCTUATION, SWITCH, latin, zipf

MARGIN = 4.0
"""Lead over the next reading that makes a choice: e**4, or 55 to 1. No wrong reading of the corpus has it (ADR 24)."""

LONGEST_WORD = 64
"""Bytes of a word in a sample; one of as many may be cut off."""

_FIRST = 200
_HOPELESS = 300.0
"""In nats behind the best reading of the first words: more than the words to come may make up."""

_COMBINING = "\u0300"
_COMMON = alphabets.SIMPLIFIED | alphabets.TRADITIONAL | alphabets.KANJI | alphabets.HANGUL


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding and the texts expected in it.

    Attributes:
        codec: Python's name.
        score: log-likelihood of words, in nats.
        floor: mean per character beyond ASCII below which a text makes no sense in this encoding.
        prior: how rarely a CSV file is saved in it, in nats.
        is_told: whether it may be chosen; the others have relatives that read too much alike, and serve to know that a
            text is theirs.
    """

    codec: str
    score: Callable[[Sequence[str]], float]
    floor: float = -9.8
    prior: float = 0.0
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What one encoding makes of the sample: its words and their likelihood, in nats.

    Attributes:
        makes_sense: whether the likelihood is that of a text. One that makes none may still be the text, if no other
            is more likely.
    """

    codec: str
    words: tuple[str, ...]
    score: float
    is_told: bool
    makes_sense: bool = True


def readings(sample: Sequence[bytes]) -> list[Interpretation]:
    """What the encodings make of a sample's words, the most likely first; of those that read the same, the first."""
    found: dict[tuple[str, ...], Interpretation] = {}
    for candidate in _in_question(sample):
        if (words := decoded(sample, candidate.codec)) is None:
            continue
        score = candidate.score(words) + candidate.prior
        reading = found.setdefault(
            words, Interpretation(candidate.codec, words, -math.inf, candidate.is_told, makes_sense=False)
        )
        makes_sense = score >= candidate.floor * sum(char >= "\x80" for word in words for char in word)
        if (makes_sense, score) > (reading.makes_sense, reading.score):
            found[words] = replace(reading, score=score, makes_sense=makes_sense)
    return sorted(found.values(), key=lambda reading: -reading.score)


def _in_question(sample: Sequence[bytes]) -> Sequence[Candidate]:
    """The candidates that the first words of a large sample have not ruled out; to read all in each takes seconds."""
    if len(sample) <= _FIRST:
        return CANDIDATES
    part = sample[:_FIRST]
    scores = {c: c.score(words) + c.prior for c in CANDIDATES if (words := decoded(part, c.codec)) is not None}
    return [candidate for candidate, score in scores.items() if score > max(scores.values()) - _HOPELESS]


def likelihood_of_utf8(words: Sequence[str]) -> float:
    """Log-likelihood of words as UTF-8, whatever their language."""
    total = sum(_in_utf8(char) for word in words for char in word if char >= _COMBINING)
    names = ["".join(char for char in word if char < _COMBINING) for word in words]
    names = [name for name in names if not name.isascii()]
    return total + max(score(names) for score in _LATIN)


def _in_utf8(char: str) -> float:
    if char < "\u0800":
        return -5.0
    return -6.5 if char in _COMMON or "ぁ" <= char <= "ヶ" else -14.0


def likelihood(codec: str, words: Sequence[str]) -> float:
    """Log-likelihood of words as a candidate's text."""
    return next(candidate for candidate in CANDIDATES if candidate.codec == codec).score(words)


def decoded(sample: Sequence[bytes], codec: str) -> tuple[str, ...] | None:
    """The words in an encoding, unless one of them is not valid there; a character cut off at the end is left out."""
    decoder = codecs.getincrementaldecoder(codec)
    try:
        return tuple(decoder().decode(word, final=len(word) < LONGEST_WORD) for word in sample)
    except UnicodeDecodeError:
        return None


def _script(letters: str) -> Callable[[Sequence[str]], float]:
    """Words of one script that is not Latin; their letters keep together."""
    ranks = zipf(letters)

    def score(words: Sequence[str]) -> float:
        total = 0.0
        for word in words:
            for before, char in pairwise(f" {word}"):
                if char.isascii():
                    total += SWITCH if char.isalpha() and before.lower() in ranks else 0
                elif (rank := ranks.get(char.lower())) is None:
                    total += PUNCTUATION.get(char, FOREIGN)
                else:
                    total += rank - 1 * (char != char.lower())
                    if before.isascii() and before.isalpha():
                        total += SWITCH
                    if char != char.lower() and before == before.lower() != before.upper():
                        total += IRREGULAR
        return total

    return score


_WESTERN = latin(alphabets.WESTERN)
_CENTRAL = latin(alphabets.CENTRAL)
_TURKISH, _BALTIC, _VIETNAMESE = latin(alphabets.TURKISH), latin(alphabets.BALTIC), latin(alphabets.VIETNAMESE)
_LATIN = (_WESTERN, _CENTRAL, _TURKISH, _BALTIC, _VIETNAMESE)
_CYRILLIC = _script(alphabets.CYRILLIC)

CANDIDATES = (
    Candidate("gb18030", cjk(gb18030)),
    Candidate("cp950", cjk(big5("cp950"))),
    Candidate("big5hkscs", cjk(big5("big5hkscs")), prior=-8.0),
    Candidate("cp932", shift_jis),
    Candidate("euc_jp", cjk(japanese), prior=-5.0),
    Candidate("cp949", cjk(korean), floor=-8.4),
    Candidate("cp1252", _WESTERN, floor=-6.6),
    Candidate("iso8859_15", _WESTERN, floor=-6.6, prior=-2.0, is_told=False),
    Candidate("mac_roman", _WESTERN, floor=-6.6, prior=-3.0, is_told=False),
    Candidate("cp850", _WESTERN, floor=-6.6, prior=-3.0, is_told=False),
    Candidate("cp1250", _CENTRAL, floor=-6.6, is_told=False),
    Candidate("iso8859_2", _CENTRAL, floor=-6.6, prior=-2.0, is_told=False),
    Candidate("cp852", _CENTRAL, floor=-6.6, prior=-3.0, is_told=False),
    Candidate("mac_latin2", _CENTRAL, floor=-6.6, prior=-6.0, is_told=False),
    Candidate("cp1254", _TURKISH, floor=-6.6, is_told=False),
    Candidate("cp1257", _BALTIC, floor=-6.6, prior=-2.0, is_told=False),
    Candidate("cp1258", _VIETNAMESE, floor=-6.6, prior=-2.0, is_told=False),
    Candidate("cp1251", _CYRILLIC, floor=-5.0, is_told=False),
    Candidate("koi8_u", _CYRILLIC, floor=-5.0, prior=-3.0, is_told=False),
    Candidate("cp866", _CYRILLIC, floor=-5.0, prior=-3.0, is_told=False),
    Candidate("iso8859_5", _CYRILLIC, floor=-5.0, prior=-3.0, is_told=False),
    Candidate("mac_cyrillic", _CYRILLIC, floor=-5.0, prior=-3.0, is_told=False),
    Candidate("cp1253", _script(alphabets.GREEK), floor=-5.0, is_told=False),
    Candidate("cp1255", _script(alphabets.HEBREW), floor=-5.0, is_told=False),
    Candidate("cp1256", _script(alphabets.ARABIC), floor=-5.0, is_told=False),
    Candidate("cp874", _script(alphabets.THAI), floor=-5.0, is_told=False),
)
