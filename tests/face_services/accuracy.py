"""Measures the figures of docs/accuracy.md: `python -m tests.face_services.accuracy WHAT [PHOTOGRAPH ...]`.

Without photographs it takes the two of the tests that show a face from the front. Others are given as files; ground
truth is made from them: drawn heads from those with one face that looks ahead, covers on every face. `search NUMBER`
measures the search instead.
"""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image as Pillow

from face_services.engine import EMBEDDING_SIZE, Embedding, Face, Image, Pose
from face_services.opencv_engine import OpenCvEngine
from face_services.search import SearchIndex, score
from face_services.store import Store
from tests.face_services import photographs
from tests.face_services.rendering import Head

AHEAD = 11.0
"""Degrees of yaw up to which a photograph's face is one to draw heads from."""
SMALLEST = 75
"""Pixels of a face that is drawn or covered."""


def found(engine: OpenCvEngine, pictures: dict[str, Image]) -> None:
    """Faces in each photograph, and those of single faces when they are turned, small, dark or blurred."""
    total = 0
    for name, picture in pictures.items():
        faces = engine.detect(picture)
        total += len(faces)
        show(name, *(f"{face.box.side:.0f} px, {face.score:.2f}, {told(face.pose)}" for face in faces))
    show("faces", total)
    changes: dict[str, Callable[[Image, Face], Image]] = {
        f"turned by {angle}": lambda picture, _, angle=angle: photographs.rotated(picture, angle)
        for angle in range(15, 360, 15)
    }
    changes |= {
        f"{pixels} px": lambda picture, face, pixels=pixels: photographs.scaled(picture, pixels / face.box.side)
        for pixels in (50, 25, 20)
    }
    changes |= {"brightness 1/8": lambda picture, _: picture // 8}
    changes |= {
        f"blur {share} %": lambda picture, face, share=share: photographs.blurred(picture, face.box.side * share / 100)
        for share in (2, 4, 8)
    }
    single = {name: (picture, face) for name, picture, face in faces_ahead(engine, pictures)}
    for what, change in changes.items():
        seen = [engine.detect(change(picture, face)) for picture, face in single.values()]
        posed = sum(faces[0].pose is not None for faces in seen if faces)
        show(what, f"found {sum(map(bool, seen))} of {len(seen)}, {posed} with a pose")


def faceless(engine: OpenCvEngine, _: dict[str, Image]) -> None:
    """False faces on pictures without one: as they are, mirrored, turned, dark, at half and at twice the size."""
    ways: list[Callable[[Image], Image]] = [
        lambda picture: picture,
        photographs.mirrored,
        lambda picture: photographs.rotated(picture, 90),
        lambda picture: photographs.rotated(picture, 180),
        lambda picture: picture // 4,
        lambda picture: photographs.scaled(picture, 0.5),
        lambda picture: photographs.scaled(picture, 2),
    ]
    pictures = [way(photographs.faceless(name)) for name in photographs.FACELESS for way in ways]
    pictures += photographs.scraps()
    show("false faces", sum(len(engine.detect(picture)) for picture in pictures), f"on {len(pictures)}")


def drawn(engine: OpenCvEngine, pictures: dict[str, Image]) -> None:
    """Errors of yaw and pitch on drawn heads, against the same head drawn without a turn."""
    random = np.random.default_rng(2)
    turns = [(yaw, 0.0) for yaw in (-60, -45, -30, -15, 15, 30, 45, 60)]
    turns += [(0, pitch) for pitch in (-30, -20, -10, 10, 20, 30)]
    turns += [(yaw, random.uniform(-15, 15)) for yaw in (-60, -45, -30, 30, 45, 60)]
    errors: dict[tuple[str, int], list[float | None]] = {}
    mirrored: list[float] = []
    for name, picture, _ in faces_ahead(engine, pictures):
        head = Head(engine, picture)
        ahead = pose_of(engine, head.turned())
        if ahead is None:
            show(name, "not drawn: without a pose even from the front")
            continue
        for yaw, pitch in turns:
            after = head.turned(yaw=yaw, pitch=pitch)
            pose, mirror = pose_of(engine, after), pose_of(engine, photographs.mirrored(after))
            kind = "pitch" if not yaw else "yaw, with pitch" if pitch else "yaw"
            given = pose and (pose.yaw - ahead.yaw - yaw if yaw else pose.pitch - ahead.pitch - pitch)
            errors.setdefault((kind, round(abs(yaw or pitch))), []).append(given and given * np.sign(yaw or pitch))
            if pose and mirror:
                mirrored.append(max(abs(pose.yaw + mirror.yaw), abs(pose.pitch - mirror.pitch)))
        at_60 = [told(pose_of(engine, head.turned(yaw=yaw))) for yaw in (-60, 60)]
        show(name, *at_60)
    for (kind, degrees), all_of in errors.items():
        known = [error for error in all_of if error is not None]
        right = sum(abs(error) <= 8 for error in known)
        middle, spread = np.median(known), np.std(known)
        show(f"{kind} of {degrees}", f"{right} of {len(all_of)} within 8, {len(all_of) - len(known)} unknown")
        show("", f"median error {middle:.1f}, deviation {spread:.1f}")
    show("in the mirror", f"median {np.median(mirrored):.1f}, 95 % within {np.quantile(mirrored, 0.95):.1f}")


def covered(engine: OpenCvEngine, pictures: dict[str, Image]) -> None:
    """Poses of faces that are half behind a sheet, against those before."""
    counts = {"no face": 0, "unknown": 0, "within 10 degrees": 0, "wrong by more": 0}
    worst = 0.0
    for _, picture, face in faces_ahead(engine, pictures, 180):
        for half in ("left", "right", "upper", "lower"):
            for sheet in sheets(picture):
                seen = engine.detect(photographs.covered(picture, face.box, half, sheet))
                poses = [one.pose for one in seen if one.box.same_face(face.box)]
                for pose in poses or [None]:
                    error = apart(pose, face.pose)
                    worst = max(worst, error or 0)
                    word = "within 10 degrees" if error is not None and error <= 10 else "wrong by more"
                    counts["no face" if not poses else "unknown" if pose is None else word] += 1
    show("covered", *(f"{count} {what}" for what, count in counts.items()), f"worst {worst:.0f}")


def likeness(engine: OpenCvEngine, pictures: dict[str, Image]) -> None:
    """Scores of a face with other people's, and with the same one in changed pictures and as drawn heads."""
    faces = {name: (picture, face) for name, picture, face in faces_ahead(engine, pictures, 60)}
    vectors = {name: engine.embed(face.chip) for name, (_, face) in faces.items()}
    strangers = [engine.embed(seen[0].chip) for crop in photographs.crops() if (seen := engine.detect(crop))]
    people = [*vectors.values(), *strangers]
    apart_ = sorted(likeness_of(one, other) for n, one in enumerate(people) for other in people[:n])
    show("different people", *(f"{apart_[int(q * (len(apart_) - 1))]:.2f}" for q in (0.5, 0.95, 0.99, 0.999, 1)))
    show("", f"{len(apart_)} pairs")
    changes: dict[str, Callable[[Image, Face], Image]] = {
        "mirrored": lambda picture, _: photographs.mirrored(picture),
        "turned by 30": lambda picture, _: photographs.rotated(picture, 30),
        "50 px": lambda picture, face: photographs.scaled(picture, 50 / face.box.side),
        "30 px": lambda picture, face: photographs.scaled(picture, 30 / face.box.side),
        "brightness 1/8": lambda picture, _: picture // 8,
        "blur 2 %": lambda picture, face: photographs.blurred(picture, face.box.side * 0.02),
        "blur 4 %": lambda picture, face: photographs.blurred(picture, face.box.side * 0.04),
    }
    changes |= {
        f"drawn, yaw {yaw}": lambda picture, _, yaw=yaw: Head(engine, picture).turned(yaw=yaw)
        for yaw in (0, 30, 45, 60)
    }
    for what, change in changes.items():
        seen = {name: engine.detect(change(picture, face)) for name, (picture, face) in faces.items()}
        scores = [likeness_of(vectors[name], engine.embed(found[0].chip)) for name, found in seen.items() if found]
        show(what, *(f"{each:.2f}" for each in sorted(scores)))


def likeness_of(one: Embedding, other: Embedding) -> float:
    """The score that a search would give two faces."""
    return score(float(np.linalg.norm(one - other)))


def sheets(picture: Image) -> Iterator[Image]:
    """Pictures of the same size to cover a face with: grey, black, white, blots, stripes."""
    height, width = picture.shape[:2]
    for grey in (128, 0, 255):
        yield np.full_like(picture, grey)
    blots = np.random.default_rng(1).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    yield cv2.resize(blots, (width, height), interpolation=cv2.INTER_LINEAR)
    stripe = (np.arange(height)[:, None] + np.arange(width)) // 12 % 2
    yield np.repeat(np.where(stripe, 200, 60).astype(np.uint8)[..., None], 3, axis=2)


def faces_ahead(
    engine: OpenCvEngine, pictures: dict[str, Image], yaw: float = AHEAD
) -> Iterator[tuple[str, Image, Face]]:
    """A picture around each face that is turned by no more than that, with the face in it."""
    for name, picture in pictures.items():
        for number, face in enumerate(engine.detect(picture)):
            if face.pose is None or face.box.side < SMALLEST or abs(face.pose.yaw) > yaw:
                continue
            x, y = face.box.centre
            for reach in (1.4, 0.8):  # the closer one where the other has neighbours in it
                low = [max(0, int(middle - face.box.side * reach)) for middle in (x, y)]
                high = [int(middle + face.box.side * reach) for middle in (x, y)]
                part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
                inside = engine.detect(part)
                if len(inside) == 1 and inside[0].pose is not None:
                    yield f"{name} {number}", part, inside[0]
                    break


def pose_of(engine: OpenCvEngine, picture: Image) -> Pose | None:
    """The pose of the best face, None if there is none."""
    faces = engine.detect(picture)
    return faces[0].pose if faces else None


def apart(one: Pose | None, other: Pose | None) -> float | None:
    """Degrees between two poses, in yaw or pitch; None if one is unknown."""
    if one is None or other is None:
        return None
    return max(abs(one.yaw - other.yaw), abs(one.pitch - other.pitch))


def told(pose: Pose | None) -> str:
    """A pose in words."""
    return f"pitch {pose.pitch:.0f} yaw {pose.yaw:.0f} roll {pose.roll:.0f}" if pose else "no pose"


def show(what: str, *more: object) -> None:
    """Print a line."""
    print(f"{what:<24}", *more, sep="  ")  # noqa: T201 - its result


def search(faces: int) -> None:
    """Milliseconds of a search among so many random faces, without the embedding of what is searched for."""
    random = np.random.default_rng(1)
    box, vectors = "[[0, 0], [9, 0], [9, 9], [0, 9]]", random.normal(size=(faces, EMBEDDING_SIZE)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        store = Store(path)
        store.create("staff", 0)
        rows = ((f"{number:032x}", box, vector.tobytes()) for number, vector in enumerate(vectors))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany("INSERT INTO face VALUES (NULL, 1, ?, '', 'null', ?, 0.9, ?)", rows)
        show("disk", f"{path.stat().st_size / 1e6:.0f} MB")
        index, times = SearchIndex(store), []
        for wanted in vectors[random.integers(0, faces, 31)]:
            began = time.perf_counter()
            assert index.matches("staff", wanted, 0.45, 10)
            times.append((time.perf_counter() - began) * 1000)
        show("first, reading them", f"{times[0]:.0f} ms")
        show("others", f"median {np.median(times[1:]):.1f}, minimum {min(times):.1f} ms")


def main(what: str, *files: str) -> None:
    """Measure one of the figures."""
    if what == "search":
        search(int(files[0]))
        return
    pictures = {Path(file).name: np.array(Pillow.open(file).convert("RGB")) for file in files}
    measures = {"found": found, "faceless": faceless, "drawn": drawn, "covered": covered, "likeness": likeness}
    fallback = {"astronaut": photographs.astronaut(), "hopper": photographs.hopper()}
    measures[what](OpenCvEngine(), pictures or fallback)


if __name__ == "__main__":
    main(*sys.argv[1:])
