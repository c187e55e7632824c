"""Search: the most similar faces of a group, by brute force over a cached matrix of its embeddings."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from math import inf, sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from face_services.engine import EMBEDDING_SIZE, Embedding
from face_services.store import KnownFace, Store, Version

SAME_PERSON_DISTANCE = sqrt(2 - 2 * 0.38)
"""A cosine of 0.38: on the pairs of docs/accuracy.md no false accept. OpenCV's own threshold for SFace is 0.363."""

SAME_PERSON_SCORE = 0.45
"""The protocol's default threshold of `search`; the score is scaled so that both thresholds are one."""

CACHED_GROUPS = 16


_FIRST_ROWS = 1024
_ROUNDING = 1e-5
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Match:
    """A similar face; the score is 1 for the same embedding."""

    face: KnownFace
    score: float


def score(distance: float) -> float:
    """Turns the distance of two embeddings into 0 to 1, falling linearly: 0 -> 1, 1.11 -> 0.45, from 2.02 on 0."""
    return max(0.0, 1.0 - (1.0 - SAME_PERSON_SCORE) * distance / SAME_PERSON_DISTANCE)


def _distance(least: float) -> float:
    """The distance up to which two embeddings have at least that score; infinite for 0, which every two have."""
    return (1.0 - least) * SAME_PERSON_DISTANCE / (1.0 - SAME_PERSON_SCORE) if least > 0 else inf


class _Matrix:
    """The embeddings of a group, in keys' order, in arrays that double when they are full.

    Rows are only ever written beyond those that were there, so that who has looked at them may go on without a lock.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._length = 0
        self._keys = np.empty(_FIRST_ROWS, np.int64)
        self._vectors = np.empty((_FIRST_ROWS, EMBEDDING_SIZE), np.float32)

    @property
    def last_key(self) -> int:
        """The highest key, 0 if there is none."""
        return int(self._keys[self._length - 1]) if self._length else 0

    def append(self, keys: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Adds rows whose keys are above all others."""
        start, end = self._length, self._length + len(keys)
        if end > len(self._keys):
            rows = max(end, 2 * len(self._keys))
            self._keys = _enlarged(self._keys[:start], rows)
            self._vectors = _enlarged(self._vectors[:start], rows)
        self._keys[start:end] = keys
        self._vectors[start:end] = vectors
        self._length = end

    def rows(self) -> "_Rows":
        """The keys, shape (n,), and the vectors, (n, 128), as they are now."""
        return _Rows(self._keys[: self._length], self._vectors[: self._length])


@dataclass(frozen=True)
class _Rows:
    keys: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def nearest(self, wanted: Embedding, farthest: float, limit: int) -> list[tuple[int, float]]:
        """Keys and distances of the nearest faces within a distance, nearest first."""
        # All are of length 1, so the nearest are those with the largest products. A matrix product would be BLAS, whose
        # threads wait for each other: where engines keep the processors busy, several times as long as this one thread.
        products = np.vecdot(self.vectors, wanted)
        least = (1 + float(wanted @ wanted) - farthest**2) / 2
        (rows,) = np.nonzero(products >= least - _ROUNDING)
        if len(rows) > limit:
            rows = rows[np.argpartition(products[rows], len(rows) - limit)[-limit:]]
        # A product of almost equal vectors is imprecise, where precision matters most: the few are computed again.
        distances = np.linalg.norm(self.vectors[rows] - wanted, axis=1)
        order = np.argsort(distances, kind="stable")
        return [(int(self.keys[rows[n]]), float(distances[n])) for n in order if distances[n] <= farthest]


def _enlarged(array: NDArray[_Number], rows: int) -> NDArray[_Number]:
    larger = np.empty((rows, *array.shape[1:]), array.dtype)  # takes memory only where it has been written
    larger[: len(array)] = array
    return larger


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
        nearest = self._rows(group).nearest(wanted, _distance(threshold), limit)
        faces = self._store.faces([key for key, _ in nearest])
        return [Match(faces[key], score(distance)) for key, distance in nearest if key in faces]

    def _rows(self, group: str) -> _Rows:
        with self._lock:
            version = self._store.version(group)
            matrix = self._matrices.pop(version.group_key, None)
            if matrix is None or matrix.version != version:
                matrix = _Matrix(version)
            self._matrices[version.group_key] = matrix
            for keys, vectors in self._store.embeddings(version.group_key, matrix.last_key):
                matrix.append(keys, vectors)
            if len(self._matrices) > CACHED_GROUPS:
                self._matrices.popitem(last=False)
            return matrix.rows()
