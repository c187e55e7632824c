"""An engine without models: every half of a `pictures.coloured` picture that is not black is a face."""

import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from face_services.engine import EMBEDDING_SIZE, Chip, Embedding, Face, Image, Points, Pose
from face_services.geometry import Box
from face_services.runner import MakeEngine, equip

LEFT, RIGHT = Box(5, 10, 45, 50), Box(60, 15, 90, 45)
NO_LANDMARKS: Points = np.zeros((68, 2))


def thread_pool(make_engine: MakeEngine, engines: int) -> Executor:
    """A `runner.MakePool` whose workers share the test's memory."""
    return ThreadPoolExecutor(engines, "engine", initializer=equip, initargs=(make_engine,))


@dataclass
class Engines:
    """What the engines of one application do, and what was asked of them."""

    calls: list[str] = field(default_factory=list)
    held: threading.Event | None = None
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    broken: list[Exception] = field(default_factory=list)
    made_in: list[str] = field(default_factory=list)

    def make(self) -> "FakeEngine":
        """A new engine, noted with its thread."""
        self.made_in.append(threading.current_thread().name)
        return FakeEngine(self)


class FakeEngine:
    """Implements `engine.Engine`; a face's embedding is its colour, so two colours are 1.4 apart."""

    def __init__(self, shared: Engines) -> None:
        self._shared = shared

    def detect(self, image: Image) -> list[Face]:
        """The halves that are not black; waits while the engines are held."""
        self._shared.calls.append("detect")
        self._shared.started.release()
        if self._shared.held:
            assert self._shared.held.wait(20)
        if self._shared.broken:
            raise self._shared.broken.pop()
        return [_face(_colour(image, box), box) for box in (RIGHT, LEFT) if _colour(image, box).any()]

    def embed(self, chip: Chip) -> Embedding:
        """The direction of the chip's colour."""
        self._shared.calls.append("embed")
        vector = np.zeros(EMBEDDING_SIZE, np.float32)
        vector[:3] = chip / np.linalg.norm(chip)
        return vector


def _face(colour: Image, box: Box) -> Face:
    """A face whose chip is its colour; only a grey one has no pose."""
    pose = None if len(set(colour.tolist())) == 1 else Pose(1.25, -2.5, 90.0, NO_LANDMARKS)
    return Face(box, 0.9, pose, colour)


def _colour(image: Image, box: Box) -> Image:
    x, y = box.centre
    return image[int(y), int(x)]
