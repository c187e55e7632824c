"""The only module that imports MediaPipe, with its native logging reduced to warnings."""

import collections
import os
from collections.abc import Iterable
from functools import cache
from types import SimpleNamespace

os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from mediapipe.python import solution_base
from mediapipe.python.solutions.face_detection import FaceDetection
from mediapipe.python.solutions.face_mesh import FaceMesh

__all__ = ["FaceDetection", "FaceMesh"]


@cache
def _class_of(name: str, fields: tuple[str, ...]) -> type:
    return collections.namedtuple(name, fields)  # noqa: PYI024 - fields known only now


def _namedtuple(name: str, fields: Iterable[str]) -> type:
    return _class_of(name, tuple(fields))


# MediaPipe creates a class for each result while holding Python's lock: as measured, three fifths of the time in which
# engines could not run in parallel. One class for all of them is enough.
solution_base.collections = SimpleNamespace(namedtuple=_namedtuple)
