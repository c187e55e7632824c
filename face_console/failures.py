"""What an import's failures come to: their main cause, and what is best done about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from face_console.language import gettext, lazy
from face_import.contract import MEANINGS, Code
from face_import.domain.limits import CHECKS
from face_import.domain.models import Limits

_CAUSES = {
    Code.URI_UNREACHABLE: lazy("the image could not be downloaded"),
    Code.IMAGE_UNREADABLE: lazy("the image could not be decoded"),
    Code.DUPLICATE_FACE: lazy("the face is already in the group"),
    Code.DUPLICATE_ID: lazy("the id is already in the group"),
    Code.NO_FACE: lazy("no face was found in the image"),
    Code.INFO_UNAVAILABLE: lazy("the face info service was unavailable"),
    Code.LIBRARY_UNAVAILABLE: lazy("the face library service was unavailable or refused the face"),
    Code.SYSTEM: lazy("the row cannot be imported as it is"),
}
_BEYOND = {
    Code.PITCH: lazy("the face looks up or down by more than %(limit)s°"),
    Code.YAW: lazy("the face is turned to the side by more than %(limit)s°"),
    Code.ROLL: lazy("the head is tilted by more than %(limit)s°"),
    Code.WIDTH: lazy("the face is narrower than %(limit)s px"),
    Code.HEIGHT: lazy("the face is shorter than %(limit)s px"),
    Code.BLUR: lazy("the blur of the face is above %(limit)s"),
}
_LIMITS = {check.code: check.limit for check in CHECKS}
_MAY_PASS = {Code.URI_UNREACHABLE, Code.INFO_UNAVAILABLE, Code.LIBRARY_UNAVAILABLE}
"""Codes of rows that may be imported as they are when they are tried again."""


class Step(StrEnum):
    """What can be done about failed rows."""

    RETRY = "retry"
    LIMITS = "limits"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed rows of an import, and the code that most of them have.

    Attributes:
        failed: their number.
        code: the most frequent code.
        rows: those with this code.
        cause: what it means, as a clause after `because`.
        steps: what can be done, the best first.
    """

    failed: int
    code: Code
    rows: int
    cause: str
    steps: list[Step]


def failures_of(by_code: Mapping[Code, int], limits: Limits) -> Failures:
    """Sum up failed rows.

    Args:
        by_code: their numbers by code; there is at least one.
        limits: those of the import.
    """
    code = max(by_code, key=lambda code: by_code[code])
    best = Step.RETRY if code in _MAY_PASS else Step.LIMITS if code in _LIMITS else Step.CORRECT
    others = [Step.LIMITS] if _LIMITS.keys() & by_code.keys() else []
    steps = [best, *(step for step in (Step.CORRECT, *others) if step != best)]
    return Failures(sum(by_code.values()), code, by_code[code], _cause(code, limits), steps)


def _cause(code: Code, limits: Limits) -> str:
    """Why rows have a code; a limit's number is named unless it is off, and the library refused the face for itself."""
    limit = getattr(limits, _LIMITS[code]) if code in _LIMITS else 0
    if limit:
        return gettext(_BEYOND[code], limit=limit)
    if code in _CAUSES:
        return gettext(_CAUSES[code])
    return gettext("of “%(meaning)s”", meaning=gettext(MEANINGS[code]))
