"""How probable a Latin name is in the languages of one code page.

cp1252, cp1250, cp1254 and cp1257 differ in some letters only: what is ř in one is ø in another. Two things tell them
apart: a language has few letters of its own, and each of them stands beside certain others. Tromsø ends in ø behind a
consonant; Kovář, which cp1252 reads as Kováø, does not, and no Western language has á and ø.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

FOREIGN = -12.0
"""A character that nobody writes there; all figures are in nats."""

IRREGULAR = -6.0
"""A letter beside others that it does not stand beside, or a capital inside a word: one in 400."""

SWITCH = -4.0
"""Two scripts or a sign inside a word."""

_LANGUAGE = -2.5
"""One more language in the file."""

_BEYOND_ASCII = -3.0
_ADJACENT = -2.5
_DOUBLES = frozenset({"öß", "üß", "çã", "çõ", "ää", "öö", "åä", "yö"})
_OPENING, _CLOSING = "’´“„«‘¡¿", "’´”»“ªº°…"

PUNCTUATION = dict.fromkeys("’‘“”„–—…«»°§€£ªº·¡¿´`‚©®™²³½×•", -6.0)
_V = "[aeiouyáéíóúàâêäöüåæøœýě]"
_C = "[bcdfghjklmnpqrstvwxzçñßðþšž]"
_BESIDE = {
    letter: re.compile(pattern)
    for letter, pattern in {
        "ñ": f"(<|{_V})ñ{_V}",
        "ń": f"{_V}ń({_C}|>)",
        "ø": f"(<|{_C})ø({_C}|[yj>]|en?>)",
        "ř": f"{_V}ř>|.ř{_V}",
        "è": f"({_C}|[iuo])è((?!k){_C}|>)",
        "č": f"({_V}|<)č|[lrnvd]č({_V}|k)",
        "ê": f"({_C}|[iuo<])ê({_C}|>)",
        "ę": "[^aeouy]ę[bcdgkptszćśźż>]",
        "æ": f"(<|{_C})æ({_C}|i)",
        "ć": f"({_V}|[<śrlńj])ć({_V}|[>mwk])",
        "õ": ".õe",
        "ő": ".ő[^e]",
        "ã": f".ã[oe]|{_C}ãs?>",
        "ă": f"({_C}|i)ă({_C}|[iu>])",
        "ù": ".ù>",
        "ò": f"({_C}|i)ò([bcdglmnrst]|>)",
        "ň": f"{_V}ň",
        "ņ": f"{_V}ņ",
        "ì": ".ì>",
        "à": f".à({_C}|>)",
        "ë": f"({_V}|<)ë",
        "ï": f"{_V}ï",
        "œ": ".œ[ui]",
        "û": f"({_C}|o)û{_C}",
        "þ": f"(<|{_C})þ",
        "ð": f"({_V}|r)ð",
        "đ": f"({_V}|[<rn])đ{_V}",
        "ų": ".ų[>s]",
        "å": f"({_C}|[<e])å",
        "ĺ": f"{_C}ĺ{_C}",
        "ē": f"({_C}|<)ē",
        "ī": f"({_C}|<)ī",
        "ķ": f".ķ({_V}|>)",
        "ä": "[^aou]ä[^aoå]",
        "ö": "[^au]ö[^aoå]",
        "ç": f"({_V}|[<nrc])ç",
        "ß": "[aeiouäöü]ß",
        "ÿ": "aÿ",
    }.items()
}
"""What stands beside a letter that other encodings read as another letter; `<` and `>` are the ends of a name."""


def zipf(letters: str) -> dict[str, float]:
    """Log-probabilities of letters in the order of their frequency: the n-th is as frequent as 1/n."""
    total = sum(1 / n for n in range(1, len(letters) + 1))
    return {letter: -math.log(n * total) for n, letter in enumerate(letters, 1)}


def latin(languages: Mapping[str, str]) -> Callable[[Sequence[str]], float]:
    """Words of a few languages, each of which has to pay its way."""
    ranks = [zipf(letters) for letters in languages.values()]

    def score(words: Sequence[str]) -> float:
        names = [_folded(word) for word in words]
        table = [[_name(name, language) for name in names] for language in ranks]
        shapes = sum(_shape(word) for word in words)
        chosen = max(table, key=sum)
        rest = [row for row in table if row is not chosen]
        while rest:
            gains = [[max(a, b) for a, b in zip(chosen, row, strict=True)] for row in rest]
            best = max(range(len(gains)), key=lambda n: sum(gains[n]))
            if sum(gains[best]) + _LANGUAGE <= sum(chosen):
                break
            chosen = gains[best]
            shapes += _LANGUAGE
            rest.pop(best)
        return sum(chosen) + shapes

    return score


def _folded(word: str) -> str:
    return word.replace("İ", "i").lower() if "İ" in word else word.lower()


def _name(word: str, language: dict[str, float]) -> float:
    total = 0.0
    for at, char in enumerate(word):
        if char.isascii():
            continue
        rank = language.get(char)
        if rank is None:
            total += PUNCTUATION.get(char, FOREIGN)
        else:
            total += rank + _BEYOND_ASCII
            pattern = _BESIDE.get(char)
            if pattern and not pattern.match(_neighbours(word, at)):
                total += IRREGULAR
    return total


def _neighbours(word: str, at: int) -> str:
    """A letter with the one before it and three after it, inside its name."""
    before = word[at - 1] if at and word[at - 1].isalpha() else "<"
    after = "".join(char if char.isalpha() else ">" for char in f"{word[at + 1 : at + 4]}>")
    return before + word[at] + after


def _shape(word: str) -> float:
    total = 0.0
    for before, char in pairwise(f" {word}"):
        if _is_letter(char) and not before.isascii() and not _is_letter(before) and before not in _OPENING:
            total += SWITCH
        if char.isascii():
            if char.isupper() and not before.isascii() and before.islower():
                total += IRREGULAR
            continue
        if char.isupper() and before.islower():
            total += IRREGULAR
        if not before.isascii() and before + char not in _DOUBLES:
            total += _ADJACENT
        if not _is_letter(char) and _is_letter(before) and char not in _CLOSING:
            total += SWITCH
    if any(map(_is_letter, word)) and not any(char.isascii() and char.isalpha() for char in word):
        total += SWITCH
    return total


def _is_letter(char: str) -> bool:
    return char.isalpha() and char not in "ªº"
