"""What speaks against a face, by the faces of the group that resemble it."""

import pytest

from face_import.contract import Code
from face_import.domain.guard import Guard
from face_import.domain.likeness import Hit, doubt, of_face
from face_import.domain.models import Face

BOTH = Guard(alike=0.6, alike_tag=0.45)
ADA = Hit("emp-1", 0.9512, "Ada", None)


def box(left: float, top: float, right: float, bottom: float) -> Face:
    """A face at this place."""
    return Face(pts=((left, top), (right, top), (right, bottom), (left, bottom)))


@pytest.mark.parametrize(
    ("hits", "tag", "guard", "found"),
    [
        ([], "Grace", BOTH, None),
        ([ADA], "Grace", BOTH, (Code.ALIKE, "looks like emp-1 (Ada), 0.9512")),
        ([ADA], "Ada", BOTH, None),
        ([ADA], "", BOTH, (Code.ALIKE, "looks like emp-1 (Ada), 0.9512")),
        ([ADA._replace(tag=None)], "", BOTH, None),
        ([ADA._replace(tag="")], "Ada", BOTH, (Code.ALIKE, "looks like emp-1 (without a tag), 0.9512")),
        ([ADA._replace(score=0.6)], "Grace", BOTH, (Code.ALIKE, "looks like emp-1 (Ada), 0.6")),
        ([ADA._replace(score=0.5999)], "Grace", BOTH, None),
        ([ADA], "Grace", Guard(alike_tag=0.45), None),
        ([ADA, Hit("b", 0.97, "Bob", "")], "Grace", BOTH, (Code.ALIKE, "looks like b (Bob), 0.97")),
        (
            [Hit("a", 0.2, "Ada", ""), Hit("b", 0.44996, "Ada", "")],
            "Ada",
            BOTH,
            (Code.UNLIKE_TAG, "unlike the faces with its tag; the nearest is b (Ada), 0.45"),
        ),
        ([Hit("a", 0.2, "Ada", ""), Hit("b", 0.45, "Ada", "")], "Ada", BOTH, None),
        ([Hit("a", 0.2, "Ada", "")], "Ada", Guard(alike=0.6), None),
        ([Hit("a", 0.2, "", "")], "", BOTH, None),
        ([Hit(7, 1.0, "x" * 5000, "")], "", BOTH, (Code.ALIKE, f"looks like 7 ({'x' * 59}…), 1")),
    ],
    ids=str,
)
def test_another_tag_is_worse_than_an_unlike_face(
    hits: list[Hit], tag: str, guard: Guard, found: tuple[Code, str] | None
) -> None:
    """The most similar face is named; a threshold itself counts as reached."""
    against = doubt(hits, tag, guard)
    assert (against and against[:2]) == found


def test_the_face_in_question_is_said_as_it_is() -> None:
    """Neither shortened nor rounded, unlike in the message."""
    against = doubt([Hit("x" * 100, 0.712345, "Ada", "")], "Bob", BOTH)
    assert against
    assert against.nearest == ("x" * 100, 0.712345)


def test_the_hits_are_those_of_the_rows_face() -> None:
    """Of an image with several faces; all of them if the library does not say which is where."""
    left, right = box(0, 0, 100, 100), box(200, 0, 300, 100)
    ada, bob = [Hit("a", 1.0, "Ada", "")], [Hit("b", 1.0, "Bob", "")]
    assert of_face(box(210, 5, 305, 105), [(left, ada), (right, bob)]) == bob
    assert of_face(box(5, 5, 95, 95), [(left, ada), (right, bob)]) == ada
    assert of_face(left, [(None, ada), (None, bob)]) == ada + bob
    assert of_face(left, [(right, ada)]) == ada
    assert of_face(left, []) == []
