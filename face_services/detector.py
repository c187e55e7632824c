"""Candidates for faces from MediaPipe's two detectors, full range and short range, merged."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from face_services._mediapipe import FaceDetection
from face_services.engine import Image
from face_services.geometry import Box, tiles

LOWEST_SCORE = 0.5
WORKING_SIDE = 1920
TILE_SIDE, TILE_STRIDE = 480, 360
LONG_PICTURE, LONGEST_PICTURE = 2, 12


@dataclass(frozen=True)
class Candidate:
    """A possible face; `agreed` says that both detectors found it."""

    box: Box
    score: float
    agreed: bool = False


class Detector:
    """Runs both detectors over a picture, whole or in tiles. Not for use by several threads."""

    def __init__(self) -> None:
        self._full_range = FaceDetection(min_detection_confidence=LOWEST_SCORE, model_selection=1)
        self._short_range = FaceDetection(min_detection_confidence=LOWEST_SCORE, model_selection=0)

    def whole(self, image: Image) -> list[Candidate]:
        """Candidates in the picture as one; sees faces down to about a tenth of its longer side.

        The detectors squeeze their input into a square, so a long picture is searched in squares as well.
        """
        full, short = _hits(self._full_range, image), _hits(self._short_range, image)
        shorter, longer = sorted(image.shape[:2])
        if LONG_PICTURE * shorter < longer <= LONGEST_PICTURE * shorter:
            squares = self._in_tiles(image, shorter, max(shorter // 2, 1))
            full, short = full + squares[0], short + squares[1]
        return _merged(full, short)

    def tiled(self, image: Image) -> list[Candidate]:
        """Candidates in overlapping 480 px tiles; in a 1280x720 picture sees faces from about 30 px.

        A picture with a side above 1920 px is scaled down to that first, which bounds the number of tiles.
        """
        scale = min(1.0, WORKING_SIDE / max(image.shape[:2]))
        height, width = (max(round(length * scale), 1) for length in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        full, short = self._in_tiles(small, TILE_SIDE, TILE_STRIDE)
        return [Candidate(hit.box.scaled(1 / scale), hit.score, hit.agreed) for hit in _merged(full, short)]

    def _in_tiles(self, image: Image, side: int, stride: int) -> tuple[list[Candidate], list[Candidate]]:
        height, width = image.shape[:2]
        full: list[Candidate] = []
        short: list[Candidate] = []
        for x, y in tiles(width, height, side, stride):
            tile = np.ascontiguousarray(image[y : y + side, x : x + side])
            full += _moved(_hits(self._full_range, tile), x, y)
            short += _moved(_hits(self._short_range, tile), x, y)
        return full, short

    def closely(self, crop: Image) -> list[Candidate]:
        """Detections of the short-range detector in a crop around one face; upright faces score best."""
        return _hits(self._short_range, crop)


def _hits(detector: FaceDetection, image: Image) -> list[Candidate]:
    height, width = image.shape[:2]
    found = []
    for detection in detector.process(image).detections or []:
        relative = detection.location_data.relative_bounding_box
        left, top = relative.xmin * width, relative.ymin * height
        box = Box(left, top, left + relative.width * width, top + relative.height * height)
        if box.area:
            found.append(Candidate(box, float(detection.score[0])))
    return found


def _moved(hits: Iterable[Candidate], x: int, y: int) -> list[Candidate]:
    return [Candidate(hit.box.moved(x, y), hit.score) for hit in hits]


def _merged(full: list[Candidate], short: list[Candidate]) -> list[Candidate]:
    """Non-maximum suppression over both lists; notes which candidates both detectors found."""
    kept: list[Candidate] = []
    for own, other in ((full, short), (short, full)):
        kept += [Candidate(hit.box, hit.score, any(hit.box.same_face(theirs.box) for theirs in other)) for hit in own]
    return suppressed(kept)


def suppressed(candidates: list[Candidate]) -> list[Candidate]:
    """Keeps the best-scored candidate of each face, best first."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: c.score, reverse=True):
        if not any(candidate.box.same_face(better.box) for better in kept):
            kept.append(candidate)
    return kept
