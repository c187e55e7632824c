"""The protocol's one-word quality of a face, from its size and sharpness."""

from PIL import Image as Pillow

from face_import.domain.blur import blur_of_face
from face_services.engine import Image
from face_services.geometry import Box

SMALL_SIDE = 40
BLURRED_FROM = 70


def quality(image: Image, box: Box, side: float) -> str:
    """Returns `small` (under 40 px), `blur` or `clear`; the protocol's `cover` and `pose` are never said.

    Blurred is what the import's own measure puts at 70 of 100 or more: a Gaussian blur of 2 % of the face's width.

    Args:
        image: the picture, perhaps smaller than it came.
        box: the face in it.
        side: the longer side of the face in the picture as it came.
    """
    if side < SMALL_SIDE:
        return "small"
    return "blur" if blur(image, box) >= BLURRED_FROM else "clear"


def blur(image: Image, box: Box) -> int:
    """How blurred the face in a box is, from 0 to 100."""
    left, top = int(box.left), int(box.top)
    face = image[top : max(round(box.bottom), top + 1), left : max(round(box.right), left + 1)]
    return blur_of_face(Pillow.fromarray(face).convert("L"))
