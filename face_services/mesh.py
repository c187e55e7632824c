"""MediaPipe's face mesh on the crop around one face, whichever way up the face is."""

from dataclasses import dataclass

import numpy as np

from face_services._mediapipe import FaceMesh
from face_services.crop import CROP_SIDE, Crop
from face_services.detector import Candidate, Detector
from face_services.engine import Image, Points
from face_services.geometry import Box

MARGINS = (2.0, 2.6)
SURELY_UPRIGHT = 0.85
SMALLEST_SHARE, LARGEST_SHARE = 0.4, 1.8

# The mesh has no 68-point set. These vertices lie nearest to the iBUG points, in iBUG's order: jaw line (17, from the
# left of the picture), brows (5 + 5), nose ridge (4), nostrils (5), eyes (6 + 6), outer lips (12), inner lips (8).
IBUG_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107),
    *(336, 296, 334, 293, 301),
    *(168, 197, 5, 4),
    *(75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


@dataclass(frozen=True)
class Mesh:
    """The mesh of one face, and what the detector made of that face in its second look, at the crop.

    Attributes:
        points: in pixels of the picture, shape (468, 2).
        box: of the second look, for the first may be twice too wide for a face that is small in its picture.
        score: of the second look; 0 when it saw no face where the mesh is.
    """

    points: Points
    box: Box
    score: float


class Mesher:
    """Finds the 468 mesh points of the face in a box. Not for use by several threads."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._mesh = FaceMesh(
            static_image_mode=True, max_num_faces=3, refine_landmarks=False, min_detection_confidence=0.5
        )

    def find(self, image: Image, box: Box) -> Mesh | None:
        """Returns the mesh of the face in the box; None when no mesh fits the box.

        The mesh fits an upside-down face as if it were upright, so the crop is first turned to where the detector
        is most sure of a face. What is not found in a narrow crop may be found in a wider one.
        """
        looks = (self._in_crop(Crop.around(image, box, margin), box) for margin in MARGINS)
        return next((mesh for mesh in looks if mesh is not None), None)

    def _in_crop(self, crop: Crop, box: Box) -> Mesh | None:
        crop, hits = self._upright(crop)
        found = self._mesh.process(crop.pixels).multi_face_landmarks or []
        meshes = [crop.to_picture(np.array([(p.x, p.y) for p in mesh.landmark]) * CROP_SIDE) for mesh in found]
        points = _fitting(meshes, box)
        if points is None:
            return None
        looks = [Candidate(_in_picture(hit.box, crop), hit.score) for hit in hits]
        own = [look for look in looks if look.box.contains(*points.mean(axis=0))]
        best = max(own, key=lambda look: look.score, default=Candidate(box, 0.0))
        return Mesh(points, best.box, best.score)

    def _upright(self, crop: Crop) -> tuple[Crop, list[Candidate]]:
        """The crop turned to where the detector is most sure, and what it sees there."""
        best, seen = crop, self._detector.closely(crop.pixels)
        for turns in (1, 2, 3):
            if _best_score(seen) >= SURELY_UPRIGHT:
                break
            turned = crop.turned(turns)
            hits = self._detector.closely(turned.pixels)
            if _best_score(hits) > _best_score(seen):
                best, seen = turned, hits
        return best, seen


def _best_score(hits: list[Candidate]) -> float:
    return max((hit.score for hit in hits), default=0.0)


def _in_picture(box: Box, crop: Crop) -> Box:
    """A box of the crop as a box of the picture."""
    corners = crop.to_picture(np.array([(box.left, box.top), (box.right, box.bottom)]))
    return Box(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())


def _fitting(meshes: list[Points], box: Box) -> Points | None:
    """The mesh nearest to the box's centre, unless it belongs to a neighbour: off the box or of another size."""
    x, y = box.centre
    for mesh in sorted(meshes, key=lambda m: float(np.hypot(*(m.mean(axis=0) - (x, y))))):
        share = float(np.ptp(mesh, axis=0).max()) / box.side
        if box.contains(*mesh.mean(axis=0)) and SMALLEST_SHARE <= share <= LARGEST_SHARE:
            return mesh
    return None
