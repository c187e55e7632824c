"""The store and the search index: races, persistence, exactness."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from face_services.engine import Embedding
from face_services.errors import Conflict, ServiceError, UnknownGroup
from face_services.search import SAME_PERSON_DISTANCE, SearchIndex, score
from face_services.store import KnownFace, Store


def known(face_id: str, tag: str = "") -> KnownFace:
    """A face of that id."""
    return KnownFace(face_id, tag, None, [[0, 0], [1, 0], [1, 1], [0, 1]], 0.9)


def vector(seed: int) -> Embedding:
    """A random embedding about as long as dlib's."""
    return (np.random.default_rng(seed).normal(size=128) / 8).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the empty group `staff`."""
    store = Store(tmp_path / "new" / "library.db")
    store.create("staff", 0)
    return store


def test_of_many_adds_of_one_id_one_succeeds(store: Store) -> None:
    """Eight threads add the same id at the same moment: one face, seven refusals, and the count is right."""
    together = threading.Barrier(8, timeout=10)

    def add(seed: int) -> bool:
        together.wait()
        try:
            store.add("staff", known("a"), vector(seed))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(8))) == 1
    assert store.describe("staff").count == 1


def test_capacity_holds_under_concurrency(store: Store) -> None:
    """Eight threads fill a group of 20 with 80 faces: exactly 20 get in."""
    store.create("small", 20)

    def add(n: int) -> bool:
        try:
            store.add("small", known(str(n)), vector(n))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(80))) == 20
    assert store.describe("small").count == 20


def test_adding_to_a_group_that_goes_away_is_told(store: Store) -> None:
    """While one thread removes the group, the adds either succeed or say that there is none: nothing else."""
    said: list[str] = []

    def add(n: int) -> None:
        if n == 20:
            store.remove("staff")
            return
        try:
            store.add("staff", known(str(n)), vector(n))
        except ServiceError as error:
            said.append(str(error))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(40)))
    assert set(said) == {"group staff not exist"}
    store.create("staff", 0)
    assert store.describe("staff").count == 0
    assert SearchIndex(store).matches("staff", vector(1), 0, 5) == []


def test_everything_is_there_after_a_restart(store: Store, tmp_path: Path) -> None:
    """Another store on the same file has the same groups and faces."""
    store.add("staff", known("a", tag="x"), vector(1))
    again = Store(tmp_path / "new" / "library.db")
    assert again.names() == ["staff"]
    (match,) = SearchIndex(again).matches("staff", vector(1), 0.45, 5)
    assert (match.face.id, match.score) == ("a", 1.0)


def test_deleting_many_ids_at_once(store: Store) -> None:
    """A list far beyond SQLite's number of variables in a statement is no trouble."""
    store.add("staff", known("7"), vector(7))
    store.delete("staff", [str(n) for n in range(50_000)])
    assert store.describe("staff").count == 0


def test_a_group_made_anew_is_another_group(store: Store) -> None:
    """The cache of a removed group never answers for its successor of the same name."""
    index = SearchIndex(store)
    store.add("staff", known("old"), vector(1))
    assert index.matches("staff", vector(1), 0, 5)
    store.remove("staff")
    with pytest.raises(UnknownGroup):
        index.matches("staff", vector(1), 0, 5)
    store.create("staff", 0)
    store.add("staff", known("new"), vector(1))
    assert [match.face.id for match in index.matches("staff", vector(1), 0, 5)] == ["new"]


def test_search_agrees_with_plain_arithmetic(store: Store) -> None:
    """Among 300 faces the index finds the same nearest ones as comparing each, with the same scores."""
    for n in range(300):
        store.add("staff", known(str(n)), vector(n))
    wanted = vector(5) + vector(9) * 0.1
    distances = [float(np.linalg.norm(vector(n) - wanted)) for n in range(300)]
    expected = np.argsort(distances)[:7]
    found = SearchIndex(store).matches("staff", wanted, 0, 7)
    best = [n for n in expected if score(distances[n]) >= 0]
    assert [match.face.id for match in found] == [str(n) for n in best]
    assert [match.score for match in found] == pytest.approx([score(distances[n]) for n in best], abs=1e-6)


def test_the_two_thresholds_are_one() -> None:
    """Dlib's distance of 0.6 is the protocol's score of 0.45; scores stay within 0 and 1."""
    assert score(0) == 1
    assert score(SAME_PERSON_DISTANCE) == pytest.approx(0.45)
    assert score(5) == 0
