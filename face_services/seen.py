"""What an engine saw in a picture, remembered: an import asks three times about each of its pictures.

Detection, pose and addition of a face come as three requests with the same picture, within milliseconds. The first one
decodes and searches it, on an engine; the others find the result here, in the memory of the process that serves.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from flask import current_app

from face_services.decode import picture, reduced
from face_services.engine import Engine, Face, Image
from face_services.geometry import Box
from face_services.quality import quality
from face_services.runner import EngineRunner, current_runner
from face_services.settings import current_settings

EXTENSION = "face_services.seen"
MEMORY_BYTES = 64 * 2**20
"""For what is remembered: about 1,600 pictures of one face."""

FIRST_SIDE = 960
"""Longer side that a JPEG keeps at least when it is first decoded."""
SMALLEST_FACE = 80
"""In pixels; if a face is smaller, and the picture was decoded smaller than it is, all of it is decoded."""

SAME_BOX_OVERLAP = 0.3
_FIXED_BYTES = 1024


@dataclass(frozen=True)
class SeenFace:
    """A face, with its quality in the protocol's word."""

    face: Face
    quality: str


@dataclass(frozen=True)
class Picture:
    """A picture's size in pixels, upright, and its faces, best score first."""

    width: int
    height: int
    faces: list[SeenFace]

    def face_at(self, box: Box) -> SeenFace | None:
        """The face whose box is most like that one, if it is at all."""
        best = max(self.faces, key=lambda seen: seen.face.box.overlap(box), default=None)
        return best if best and best.face.box.overlap(box) >= SAME_BOX_OVERLAP else None

    @property
    def size(self) -> int:
        """About the bytes it takes in memory."""
        poses = sum(seen.face.pose.landmarks.nbytes for seen in self.faces if seen.face.pose)
        return poses + sum(seen.face.chip.nbytes + _FIXED_BYTES for seen in self.faces) + _FIXED_BYTES


class Memory:
    """The pictures seen last, by their digests, as many as fit; safe from any thread."""

    def __init__(self, capacity: int = MEMORY_BYTES) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._pictures: OrderedDict[bytes, Picture] = OrderedDict()
        self._size = 0

    def look(self, uri: str, max_pixels: int, runner: EngineRunner) -> Picture:
        """What is in the picture of a data URI, from memory or by an engine; raises `BadImage`."""
        key = hashlib.sha256(uri.encode(errors="surrogatepass")).digest()
        with self._lock:
            known = self._pictures.get(key)
            if known is not None:
                self._pictures.move_to_end(key)
        if known is None:
            known = runner.run(look, uri, max_pixels)
            self._keep(key, known)
        return known

    def _keep(self, key: bytes, seen: Picture) -> None:
        with self._lock:
            before = self._pictures.pop(key, None)
            self._size += seen.size - (before.size if before else 0)
            self._pictures[key] = seen
            while self._size > self._capacity:
                _, oldest = self._pictures.popitem(last=False)
                self._size -= oldest.size


def current_look(uri: str) -> Picture:
    """What is in the picture of a data URI; only inside a request. Raises `BadImage`."""
    memory: Memory = current_app.extensions[EXTENSION]
    return memory.look(uri, current_settings().max_pixels, current_runner())


def look(engine: Engine, uri: str, max_pixels: int) -> Picture:
    """Decodes a picture and searches it; a job for an engine."""
    image, times = reduced(uri, max_pixels, FIRST_SIDE)
    faces = engine.detect(image)
    if times > 1 and (not faces or min(face.box.side for face in faces) < SMALLEST_FACE):
        image, times = picture(uri, max_pixels), 1.0
        faces = engine.detect(image)
    height, width = image.shape[:2]
    return Picture(round(width * times), round(height * times), [_seen(image, face, times) for face in faces])


def _seen(image: Image, face: Face, times: float) -> SeenFace:
    pose = face.pose and replace(face.pose, landmarks=face.pose.landmarks * times)
    word = quality(image, face.box, face.box.side * times)
    return SeenFace(replace(face, box=face.box.scaled(times), pose=pose), word)
