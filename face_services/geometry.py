"""Boxes in pictures: overlap and clipping."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """An axis-parallel rectangle in pixels of the upright picture, x to the right and y down."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def side(self) -> float:
        """The longer of width and height."""
        return max(self.width, self.height)

    @property
    def area(self) -> float:
        """Square pixels; 0 for an empty or inverted box."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    @property
    def centre(self) -> tuple[float, float]:
        """The middle as (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def clipped(self, width: int, height: int) -> "Box":
        """The part inside a picture of that size; its area is 0 when nothing is."""
        return Box(
            min(max(self.left, 0.0), width),
            min(max(self.top, 0.0), height),
            min(max(self.right, 0.0), width),
            min(max(self.bottom, 0.0), height),
        )

    def moved(self, x: float, y: float) -> "Box":
        """The box shifted by (x, y) pixels."""
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def scaled(self, factor: float) -> "Box":
        """The box in a picture `factor` times as large."""
        return Box(self.left * factor, self.top * factor, self.right * factor, self.bottom * factor)

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        shared = self._shared(other)
        return shared / (self.area + other.area - shared) if shared else 0.0

    def same_face(self, other: "Box") -> bool:
        """Whether two boxes must be one face: a third shared, or one almost wholly inside the other."""
        shared = self._shared(other)
        return bool(shared) and (self.overlap(other) >= 0.3 or shared / min(self.area, other.area) >= 0.7)

    def _shared(self, other: "Box") -> float:
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area
