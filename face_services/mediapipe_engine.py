"""The engine in use: MediaPipe for detection and pose, dlib for embeddings. See docs/reference/face-services.md."""

import numpy as np

from face_services.detector import TILE_SIDE, Candidate, Detector, suppressed
from face_services.embedding import Embedder
from face_services.engine import Embedding, Face, Image, Pose
from face_services.geometry import Box
from face_services.mesh import Mesher
from face_services.pose import head_pose

# A true face scores this much in the picture or, at the least, in the upright crop around it; the mesh alone is also
# fitted to a shirt or a cat now and then (measured: their best is 0.71).
CONFIRMED_SCORE = 0.75
# A very blurred face has no mesh. Both detectors agree on it in the whole picture; in tiles they agree on a motorcycle.
MESHLESS_SCORE = 0.65
MOST_FACES = 100


class MediaPipeEngine:
    """Implements `engine.Engine`. An instance belongs to the one thread that made it.

    Detection looks at the whole picture first. Only when nothing is found there it looks closer (in tiles, for small
    faces) and then at the picture turned by 90, 180 and 270 degrees (for a picture stored the wrong way up).
    """

    def __init__(self) -> None:
        self._detector = Detector()
        self._mesher = Mesher(self._detector)
        self._embedder = Embedder()

    def detect(self, image: Image) -> list[Face]:
        """Returns the faces, best score first, at most 100, each box clipped to the picture."""
        found = self._faces(image, self._detector.whole(image), mesh_needed=False)
        if not found and max(image.shape[:2]) > TILE_SIDE:
            found = self._faces(image, self._detector.tiled(image))
        return found or self._faces(image, self._turned(image))

    def pose(self, image: Image, boxes: list[Box]) -> list[Pose | None]:
        """Returns one pose per box, in order; None where the mesh finds no face in the box."""
        height, width = image.shape[:2]
        meshes = [self._mesher.find(image, box) for box in boxes]
        return [mesh and head_pose(mesh.points, width, height) for mesh in meshes]

    def embed(self, image: Image, box: Box) -> Embedding:
        """Returns the 128 numbers of the face in the box."""
        mesh = self._mesher.find(image, box)
        return self._embedder.embed(image, box, mesh and mesh.points)

    def _faces(self, image: Image, candidates: list[Candidate], *, mesh_needed: bool = True) -> list[Face]:
        height, width = image.shape[:2]
        confirmed = []
        for candidate in candidates[:MOST_FACES]:
            mesh = self._mesher.find(image, candidate.box)
            if mesh is not None:
                score = max(candidate.score, mesh.score)
                if score >= CONFIRMED_SCORE:
                    confirmed.append(Candidate(mesh.box, score))
            elif candidate.agreed and candidate.score >= MESHLESS_SCORE and not mesh_needed:
                confirmed.append(candidate)
        clipped = [Face(found.box.clipped(width, height), found.score) for found in suppressed(confirmed)]
        return [face for face in clipped if min(face.box.width, face.box.height) >= 1]

    def _turned(self, image: Image) -> list[Candidate]:
        found: list[Candidate] = []
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            hits = self._detector.whole(turned)
            found += [Candidate(_turned_back(hit.box, turned, turns), hit.score) for hit in hits]
        return suppressed(found)


def _turned_back(box: Box, turned: Image, turns: int) -> Box:
    """A box of a picture turned `turns` quarters counter-clockwise, in the picture as it was."""
    height, width = turned.shape[:2]
    for _ in range(turns):
        box = Box(height - box.bottom, box.left, height - box.top, box.right)
        height, width = width, height
    return box
