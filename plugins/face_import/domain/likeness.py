"""Whether a face is the wrong one for its tag, by its likeness to the faces of the group (ADR 33)."""

from collections.abc import Sequence
from typing import NamedTuple

from face_import.contract import Code
from face_import.domain.guard import Guard
from face_import.domain.models import Face, Nearest

SAME_PERSON = 0.45
"""Score from which two faces are taken for one person's: the threshold of the face library's protocol."""
MOST_SHOWN = 60
"""Characters of a tag or an id in a message."""


class Hit(NamedTuple):
    """A face of a group that a search has found; labels are None where the library does not give texts."""

    face_id: object
    score: float
    tag: str | None
    description: str | None


class Doubt(NamedTuple):
    """What speaks against a face: the code of a row that is refused for it, a message, and the face it is about."""

    code: Code
    message: str
    nearest: Nearest


def of_face(face: Face, found: Sequence[tuple[Face | None, list[Hit]]]) -> list[Hit]:
    """The hits of one face among those of all faces of an image.

    It is the one whose box overlaps most; all of them, if nothing tells them apart.
    """
    overlaps = [0.0 if place is None else _overlap(face, place) for place, _ in found]
    most = max(overlaps, default=0.0)
    return [hit for overlap, (_, hits) in zip(overlaps, found, strict=True) if overlap == most for hit in hits]


def doubt(hits: Sequence[Hit], tag: str, guard: Guard) -> Doubt | None:
    """What speaks against a face, first that it is somebody else's.

    Args:
        hits: faces of the group, without those that the row itself has put there.
        tag: the row's tag. Faces without a tag have the empty one, which is nobody's for `alike_tag`.
        guard: what is asked for.
    """
    others = [hit for hit in hits if (hit.tag or "") != tag and hit.score >= guard.alike]
    if guard.alike and others:
        best = max(others, key=_score)
        return Doubt(Code.ALIKE, f"looks like {_described(best)}", _nearest(best))
    own = [hit for hit in hits if tag and hit.tag == tag]
    if guard.alike_tag and own and (best := max(own, key=_score)).score < guard.alike_tag:
        text = f"unlike the faces with its tag; the nearest is {_described(best)}"
        return Doubt(Code.UNLIKE_TAG, text, _nearest(best))
    return None


def _nearest(hit: Hit) -> Nearest:
    return Nearest(str(hit.face_id), hit.score)


def _score(hit: Hit) -> float:
    return hit.score


def _described(hit: Hit) -> str:
    """Id, tag and score; four digits, since two would round a score over the threshold."""
    tag = _shortened(hit.tag) if hit.tag else "without a tag"
    return f"{_shortened(str(hit.face_id))} ({tag}), {hit.score:.4g}"


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _overlap(one: Face, other: Face) -> float:
    """Intersection over union of the boxes; 0 if either has no area."""
    l1, t1, r1, b1 = one.box
    l2, t2, r2, b2 = other.box
    common = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    return common / (one.area + other.area - common) if common else 0.0
