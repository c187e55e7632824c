"""Limits for what faces are often imported for, to start from; docs/accuracy.md has the measurements behind them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from face_console.language import lazy
from face_import.domain.models import LIMITS, Limit, Limits


@dataclass(frozen=True, slots=True)
class Preset:
    """Limits with what they are for.

    Attributes:
        purpose: which faces they let in.
    """

    title: str
    purpose: str
    limits: Limits

    @property
    def given(self) -> list[tuple[Limit, int]]:
        """The limits that are not off."""
        return [(limit, value) for name, limit in LIMITS.items() if (value := getattr(self.limits, name))]

    def as_json(self) -> str:
        """All limits by name, for the page's script."""
        return json.dumps(asdict(self.limits))

    def is_in(self, typed: Mapping[str, object]) -> bool:
        """Whether the fields of a form have these limits; an absent or blank field is 0."""
        return all(str(typed.get(name) or 0) == str(value) for name, value in asdict(self.limits).items())


PRESETS = {
    "none": Preset(lazy("No limits"), lazy("Any face that is found. Of several in an image, the largest."), Limits()),
    "wall": Preset(
        lazy("Photo wall"),
        lazy("To find people again in photos of events: leaves out only faces too small or too blurred for that."),
        Limits(width=40, height=50, blur_degree=80),
    ),
    "access": Preset(
        lazy("Access control"),
        lazy("To recognise people at a door by one photo each: one face, towards the camera, large and sharp enough."),
        Limits(pos_pitch=30, pos_yaw=30, pos_rol=30, width=80, height=100, blur_degree=60, faces=1),
    ),
    "id": Preset(
        lazy("ID photos"),
        lazy("For cards and registers: one face that looks straight ahead, large and sharp."),
        Limits(pos_pitch=20, pos_yaw=15, pos_rol=10, width=120, height=150, blur_degree=40, faces=1),
    ),
}
"""By the word in the address of the form: /new?limits=access."""
