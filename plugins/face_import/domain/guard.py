"""What keeps the wrong face out of a group: the options of a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from face_import.contract import OnAlike


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps the wrong face out of a group: comparisons with the faces in it, by the library's own scores.

    Attributes:
        same_picture: 1 if the bytes of an image are imported once by a task, or by a recurring import of changes only.
        alike: score, 0 to 1, from which a face counts as that of another tag; 0 is off.
        alike_tag: score, 0 to 1, that a face has to have with one of its own tag, if the group has any; 0 is off.
        on_alike: whether such a row is refused, or imported with a note.
    """

    same_picture: int = field(default=0, metadata={"title": "Import each image once"})
    alike: float = field(default=0.0, metadata={"title": "Too similar to another tag, from score"})
    alike_tag: float = field(default=0.0, metadata={"title": "Minimum score with the own tag"})
    on_alike: OnAlike = field(default=OnAlike.REFUSE, metadata={"title": "Faces with a doubtful tag"})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The one that these values describe, which may be of JSON's types."""
        scores = float(values["alike"]), float(values["alike_tag"])
        return cls(int(values["same_picture"]), *scores, OnAlike(values["on_alike"]))

    @property
    def compares(self) -> bool:
        """Whether faces are compared at all."""
        return bool(self.alike or self.alike_tag)

    @property
    def refuses(self) -> bool:
        """Whether a comparison may keep a row out."""
        return self.compares and self.on_alike is OnAlike.REFUSE

    @property
    def keeps_out(self) -> bool:
        """Whether a row may be kept out because of another one, so that their order matters."""
        return self.refuses or bool(self.same_picture)


GUARD: dict[str, str] = {field.name: field.metadata["title"] for field in fields(Guard)}
"""Titles of its options by name, in order."""
NO_GUARD = Guard()
