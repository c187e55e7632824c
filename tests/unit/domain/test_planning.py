"""Cutting imports into shards."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.domain.models import Block, Shard, SourceIndex
from face_import.domain.planning import MAX_SHARD_BYTES, MAX_SHARDS, plan_shards, pool_slots, sample_ranges
from face_import.sources.reading import PLAIN

MIB = 2**20


def index_of(blocks: list[tuple[int, int]]) -> SourceIndex:
    """An index of blocks given as rows and bytes."""
    row, offset, made = 1, 0, []
    for rows, size in blocks:
        made.append(Block(row, rows, offset, offset + size, row))
        row, offset = row + rows, offset + size
    return SourceIndex(PLAIN, size=offset, blocks=tuple(made))


def uniform(rows: int, row_bytes: int = 70, block: int = 100) -> SourceIndex:
    """An index of equal rows."""
    sizes = [min(block, rows - first) for first in range(0, rows, block)]
    return index_of([(size, size * row_bytes) for size in sizes])


@pytest.mark.parametrize(
    ("rows", "processes", "shards", "largest"),
    [
        pytest.param(1, 2, 1, 1, id="one row"),
        pytest.param(500, 2, 1, 500, id="one small shard"),
        pytest.param(501, 2, 2, 300, id="no small rest"),
        pytest.param(2_000, 1, 2, 1_000, id="two a process"),
        pytest.param(10_000, 2, 4, 2_500, id="a quarter each"),
        pytest.param(10_000, 25, 20, 500, id="not below 500"),
        pytest.param(100_000, 1, 20, 5_000, id="not above 5000"),
        pytest.param(1_000_000, 2, 200, 5_000, id="a million"),
        pytest.param(10_000_000, 2, 1000, 10_000, id="ten million"),
    ],
)
def test_rows_decide_where_they_are_small(rows: int, processes: int, shards: int, largest: int) -> None:
    """Shards have max(ceil(N/1000), clamp(N/2W, 500, 5000)) rows."""
    planned = plan_shards(uniform(rows), processes)
    assert (len(planned), max(shard.rows for shard in planned)) == (shards, largest)


@given(st.integers(2, 10**7), st.data(), st.integers(1, 20))
def test_a_sample_is_spread_evenly(rows: int, data: st.DataObject, processes: int) -> None:
    """It has exactly as many rows as asked for, and equal parts of the file have equal shares, give or take one."""
    sample = data.draw(st.integers(1, rows - 1))
    ranges = sample_ranges(rows, sample, processes)
    sizes = [size for _, size in ranges]
    assert sum(sizes) == sample
    assert 0 < min(sizes) <= max(sizes) <= min(sizes) + 1
    assert min(20, sample) <= len(ranges) <= MAX_SHARDS
    part = rows / len(ranges)
    for number, (first, size) in enumerate(ranges):
        assert number * part - 1 < first <= first + size - 1 <= (number + 1) * part


def test_bytes_decide_where_rows_are_large() -> None:
    """A shard of large rows has about 32 MiB."""
    planned = plan_shards(index_of([(1, 10 * MIB)] * 100), 1)
    assert len(planned) == ceil(1000 / 32)
    assert max(shard.end - shard.start for shard in planned) <= 40 * MIB


def test_bytes_give_way_to_the_number_of_shards() -> None:
    """Where 32 MiB each would make more than 1000 shards, they are larger."""
    planned = plan_shards(index_of([(20, 8 * MIB)] * 8192), 4)
    assert len(planned) == MAX_SHARDS
    assert max(shard.end - shard.start for shard in planned) <= 72 * MIB


def test_a_few_large_rows_among_many_small_ones() -> None:
    """Each part of the source is cut by what is large in it."""
    planned = plan_shards(index_of([(100, 7_000)] * 50 + [(1, 32 * MIB)] * 5 + [(100, 7_000)] * 50), 1)
    assert 5 + 2 <= len(planned) <= 12
    assert max(shard.end - shard.start for shard in planned) < 2 * MAX_SHARD_BYTES


@given(
    blocks=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 64 * MIB)), max_size=60),
    repeat=st.integers(1, 60),
    processes=st.integers(1, 64),
)
def test_shards_hold_everything_once(blocks: list[tuple[int, int]], repeat: int, processes: int) -> None:
    """Any plan has at most 1000 shards, none empty, that follow each other from first row to last."""
    index = index_of(blocks * repeat)
    planned = plan_shards(index, processes)
    assert len(planned) <= MAX_SHARDS
    assert [shard.number for shard in planned] == list(range(len(planned)))
    ends = [(0, 0), *((shard.last_row, shard.end) for shard in planned)]
    assert [(shard.first_row - 1, shard.start) for shard in planned] == ends[:-1]
    assert all(shard.rows for shard in planned)
    assert ends[-1] == (index.rows, index.size)


def test_planning_is_repeatable() -> None:
    """The same index and processes always give the same shards."""
    assert plan_shards(uniform(700), 2) == plan_shards(uniform(700), 2)
    assert plan_shards(uniform(700), 2)[0] == Shard(number=0, first_row=1, rows=300, start=0, end=21_000, line=1)


@pytest.mark.parametrize(
    ("threads", "slots"),
    [(1, 2), (8, 2), (17, 3), (200, 25)],
    ids=["one", "a full process", "one more", "many"],
)
def test_pool_slots(threads: int, slots: int) -> None:
    """Slots are enough for all rows in flight, and never fewer than two."""
    assert pool_slots(threads, 8) == slots
