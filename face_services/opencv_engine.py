"""The engine in use: YuNet finds faces, MediaPipe's mesh measures them, SFace compares them. See docs/accuracy.md."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from face_services.crop import Crop
from face_services.detector import Detector, Hit, suppressed
from face_services.embedding import Embedder, chip_of
from face_services.engine import Chip, Embedding, Face, Image, Pose
from face_services.geometry import Box
from face_services.mesh import Mesh, Mesher
from face_services.pose import head_pose

SIDE, CLOSER_SIDE = 640, 1920
"""Longer side of what is searched: first, and when nothing was found."""
CERTAIN_SCORE, CERTAIN_FLAG = 0.88, 0.9
"""A face that has both is upright as it was seen; others are looked at in eight directions."""
CONFIRMED_SCORE, MESHLESS_SCORE = 0.75, 0.85
"""A face scores this much where the mesh fits, or where it does not: a very blurred one, or a profile.

On what is no face, a cup or a coin, the detector went up to 0.82, and the mesh's flag to 0.63.
"""
CLOSER_SCORE = 0.55
"""The least score of a face when looked at closer. Turned, dark and small ones had 0.77 or more, a cat's head 0.33."""
MOST_HITS, MOST_FACES = 200, 100

_LOOK_SIDE, _LOOK_REACH = 160, 2.0
_DIRECTIONS = tuple(np.radians(range(0, 360, 45)))
_ABOUT_THE_SAME = 0.1
_FEW_PIXELS = 60
_LEANING = np.radians(20)
"""Beyond this the detector's points are those of a second look."""


@dataclass(frozen=True)
class _Sight:
    hit: Hit
    mesh: Mesh


class OpenCvEngine:
    """Implements `engine.Engine`. An instance belongs to the one thread that made it."""

    def __init__(self) -> None:
        self._detector = Detector()
        self._mesher = Mesher()
        self._embedder = Embedder()

    def detect(self, image: Image) -> list[Face]:
        """Returns the faces, best score first, at most 100, each box clipped to the picture.

        Only when nothing is found does it look closer, and then at the picture turned by 90, 180 and 270 degrees.
        """
        hits = self._detector.find(image, SIDE)
        faces = self._faces(image, hits)
        if not faces and max(image.shape[:2]) > SIDE:
            faces = self._faces(image, self._detector.find(image, CLOSER_SIDE))
        return faces or self._faces(image, self._in_turned(image))

    def embed(self, chip: Chip) -> Embedding:
        """Returns the 128 numbers of a face."""
        return self._embedder.embed(chip)

    def _faces(self, image: Image, hits: list[Hit]) -> list[Face]:
        sights: list[_Sight] = []
        for sight in (self._look(image, hit) for hit in hits[:MOST_HITS]):
            if sight is not None and not any(sight.hit.box.same_face(other.hit.box) for other in sights):
                sights.append(sight)
        sights.sort(key=lambda sight: sight.hit.score, reverse=True)
        faces = [self._face(image, sight) for sight in sights[:MOST_FACES]]
        return [face for face in faces if min(face.box.width, face.box.height) >= 1]

    def _face(self, image: Image, sight: _Sight) -> Face:
        height, width = image.shape[:2]
        box, chip = sight.hit.box.clipped(width, height), chip_of(image, sight.hit.points)
        return Face(box, sight.hit.score, self._pose(image, sight), chip)

    def _pose(self, image: Image, sight: _Sight) -> Pose | None:
        hit, mesh = sight.hit, sight.mesh
        pose = head_pose(hit, mesh, lambda: self._mesher.find_turned(image, mesh))
        searched_at = min(1.0, SIDE / max(image.shape[:2]))
        if pose is None and hit.box.side * searched_at < _FEW_PIXELS:
            # Of so small a face the detector's points are too rough to tell whether it is covered.
            closer = self._closer(image, hit.box, (mesh.roll,))
            if closer is not None:
                closer = replace(closer, score=max(hit.score, closer.score))
                pose = head_pose(closer, mesh, lambda: self._mesher.find_turned(image, mesh))
        return pose

    def _look(self, image: Image, hit: Hit) -> _Sight | None:
        """What is at a hit; None if it is no face."""
        if hit.score >= CERTAIN_SCORE:
            mesh = self._mesher.find(image, hit.box, hit.roll)
            if mesh.flag >= CERTAIN_FLAG and abs(mesh.roll - hit.roll) < _LEANING and abs(mesh.roll) < _LEANING:
                return _Sight(hit, mesh)
        closer = self._closer(image, hit.box, _DIRECTIONS)
        if closer is None or closer.score < CLOSER_SCORE:
            return None
        mesh = self._mesher.find(image, closer.box, closer.roll)
        score = max(hit.score, closer.score)
        if score < (CONFIRMED_SCORE if mesh.flag >= CERTAIN_FLAG else MESHLESS_SCORE):
            return None
        upright = self._closer(image, closer.box, (mesh.roll,))
        if upright and upright.score > closer.score - _ABOUT_THE_SAME and mesh.flag >= CERTAIN_FLAG:
            closer = upright
        return _Sight(replace(closer, score=score), mesh)

    def _closer(self, image: Image, box: Box, turns: Iterable[float]) -> Hit | None:
        """The face in a box as it is seen best when turned back by one of some angles: where it is upright then."""
        seen: list[Hit] = []
        for turn in turns:
            crop = Crop.around(image, box.centre, box.side * _LOOK_REACH, turn, _LOOK_SIDE)
            hits = (hit.in_picture(crop) for hit in self._detector.find(crop.pixels, _LOOK_SIDE))
            seen += [hit for hit in hits if hit.box.same_face(box)]
        return max(seen, key=lambda hit: hit.score, default=None)

    def _in_turned(self, image: Image) -> list[Hit]:
        found: list[Hit] = []
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            hits = self._detector.find(turned, SIDE)
            found += [Hit(_turned_back(hit.box, turned, turns), hit.score, hit.points) for hit in hits]
        return suppressed(found)


def _turned_back(box: Box, turned: Image, turns: int) -> Box:
    """A box of a picture turned `turns` quarters counter-clockwise, in the picture as it was."""
    height, width = turned.shape[:2]
    for _ in range(turns):
        box = Box(height - box.bottom, box.left, height - box.top, box.right)
        height, width = width, height
    return box
