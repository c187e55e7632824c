"""Search: the most similar faces of a group, by brute force over a cached matrix of its embeddings."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_services.engine import EMBEDDING_SIZE, Embedding
from face_services.store import KnownFace, Store, Version

SAME_PERSON_DISTANCE = 0.6
"""dlib's own threshold: on 38 same and 262 different pairs TAR 0.974 at FAR 0 (docs/reference/face-services.md)."""

SAME_PERSON_SCORE = 0.45
"""The protocol's default threshold of `search`; the score is scaled so that both thresholds are one."""

CACHED_GROUPS = 16


@dataclass(frozen=True)
class Match:
    """A similar face; the score is 1 for the same embedding."""

    face: KnownFace
    score: float


def score(distance: float) -> float:
    """Turns the distance of two embeddings into 0 to 1, falling linearly: 0 -> 1, 0.6 -> 0.45, from 1.09 on 0."""
    return max(0.0, 1.0 - (1.0 - SAME_PERSON_SCORE) * distance / SAME_PERSON_DISTANCE)


@dataclass(frozen=True)
class _Matrix:
    version: Version
    keys: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def nearest(self, wanted: Embedding, limit: int) -> list[tuple[int, float]]:
        """Keys and distances of the nearest faces, nearest first."""
        if not len(self.keys):
            return []
        squares = np.einsum("ij,ij->i", self.vectors, self.vectors) - 2 * (self.vectors @ wanted)
        limit = min(limit, len(self.keys))
        rows = np.argpartition(squares, limit - 1)[:limit]
        # The expanded square is imprecise near 0, where precision matters most: the few nearest are computed again.
        distances = np.linalg.norm(self.vectors[rows] - wanted, axis=1)
        order = np.argsort(distances, kind="stable")
        return [(int(self.keys[rows[n]]), float(distances[n])) for n in order]


class SearchIndex:
    """Searches groups. The matrix of a group follows its changes: additions are appended, removals reload it.

    100,000 faces take 50 MB; the least recently searched groups beyond 16 are forgotten.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._matrices: OrderedDict[int, _Matrix] = OrderedDict()

    def matches(self, group: str, wanted: Embedding, threshold: float, limit: int) -> list[Match]:
        """Returns the group's most similar faces with at least that score, best first; raises `UnknownGroup`."""
        nearest = self._matrix(group).nearest(wanted, limit)
        good = {key: score(distance) for key, distance in nearest if score(distance) >= threshold}
        faces = self._store.faces(list(good))
        return [Match(faces[key], points) for key, points in good.items() if key in faces]

    def _matrix(self, group: str) -> _Matrix:
        with self._lock:
            version = self._store.version(group)
            known = self._matrices.pop(version.group_key, None)
            if known is None or known.version != version:
                known = _Matrix(version, np.empty(0, np.int64), np.empty((0, EMBEDDING_SIZE), np.float32))
            self._matrices[version.group_key] = fresh = self._grown(known)
            if len(self._matrices) > CACHED_GROUPS:
                self._matrices.popitem(last=False)
            return fresh

    def _grown(self, known: _Matrix) -> _Matrix:
        last = int(known.keys[-1]) if len(known.keys) else 0
        keys, vectors = self._store.embeddings(known.version.group_key, last)
        if not len(keys):
            return known
        return _Matrix(known.version, np.concatenate((known.keys, keys)), np.concatenate((known.vectors, vectors)))
