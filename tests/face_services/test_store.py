"""The store and the search index: races, persistence, exactness."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from face_services.engine import Embedding
from face_services.errors import Conflict, OtherEngine, ServiceError, UnknownGroup
from face_services.search import SAME_PERSON_DISTANCE, SearchIndex, score
from face_services.store import KnownFace, Store


def known(face_id: str, tag: str = "") -> KnownFace:
    """A face of that id."""
    return KnownFace(face_id, tag, None, [[0, 0], [1, 0], [1, 1], [0, 1]], 0.9)


def vector(seed: int) -> Embedding:
    """A random embedding."""
    values = np.random.default_rng(seed).normal(size=128)
    return (values / np.linalg.norm(values)).astype(np.float32)


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


def test_search_follows_a_group_that_grows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was added since the last search is found, also where the faces in memory need more room."""
    monkeypatch.setattr("face_services.search._FIRST_ROWS", 4)
    monkeypatch.setattr("face_services.store._READ_AT_ONCE", 3)
    index = SearchIndex(store)
    for some in (range(2), range(2, 9), range(9, 11), range(11, 30)):
        for n in some:
            store.add("staff", known(str(n)), vector(n))
        for n in (0, some[0], some[-1]):
            (match,) = index.matches("staff", vector(n), 0.99, 5)
            assert (match.face.id, match.score) == (str(n), 1.0)
        assert len(index.matches("staff", vector(0), 0, 1000)) == some[-1] + 1


def test_a_search_gives_no_more_than_asked(store: Store) -> None:
    """Of the faces at least as alike as the threshold says, those that are most alike, as many as wanted."""
    for n in range(40):
        mixed = vector(0) + vector(n + 1) * (n + 1) / 20
        store.add("staff", known(str(n)), mixed / np.linalg.norm(mixed))
    index = SearchIndex(store)
    everything = index.matches("staff", vector(0), 0, 1000)
    scores = [match.score for match in everything]
    assert scores == sorted(scores, reverse=True)
    for least in (0.45, scores[10], 0.99):
        good = [match for match in everything if match.score >= least]
        assert index.matches("staff", vector(0), least, 1000) == good
        assert index.matches("staff", vector(0), least, 5) == good[:5]


def test_the_two_thresholds_are_one() -> None:
    """A cosine of 0.38 is the protocol's score of 0.45; scores stay within 0 and 1."""
    assert score(0) == 1
    assert score(SAME_PERSON_DISTANCE) == pytest.approx(0.45)
    assert score(5) == 0


def test_a_library_names_its_engine_and_refuses_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces of two engines are never compared: a file with another's faces is refused, an empty one taken over."""
    path = tmp_path / "library.db"
    Store(path).create("staff", 0)
    monkeypatch.setattr("face_services.tables.ENGINE", "Another 1")
    Store(path).add("staff", known("a"), vector(1))
    assert Store(path).describe("staff").count == 1
    monkeypatch.undo()
    with pytest.raises(OtherEngine, match=r"was made with Another 1; .* import again"):
        Store(path)


def test_a_library_from_before_it_named_its_engine_is_refused(tmp_path: Path) -> None:
    """Its faces are dlib's."""
    path = tmp_path / "library.db"
    store = Store(path)
    store.create("staff", 0)
    store.add("staff", known("a"), vector(1))
    with sqlite3.connect(path) as before:
        before.execute("DROP TABLE about")
    with pytest.raises(OtherEngine, match="MediaPipe and dlib"):
        Store(path)
