"""How a source is split into shards, and how many of them run in parallel."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from face_import.domain.identity import pool_of_run
from face_import.domain.models import Block, Shard, SourceIndex
from face_import.settings import Settings

MAX_SHARDS = 1000
"""Below Airflow's `max_map_length` of 1024."""
MIN_SHARD_ROWS = 500
"""With fewer, starting task instances would take longer than importing faces."""
MAX_SHARD_ROWS = 5000
"""With more, Airflow's grid would show progress too coarsely, and a lost shard would cost too much."""
SAMPLE_PLACES = 20
"""Shards of a sample, which are small, unless it is large."""
SHARDS_PER_PROCESS = 2
"""So that a process that finishes early gets another shard; in between, the others use its concurrency (ADR 11)."""
MAX_SHARD_BYTES = 32 * 2**20
MOST_NAMED = 5
"""Shards that a message names."""


def plan_shards(index: SourceIndex, processes: int) -> tuple[Shard, ...]:
    """Split a source into shards of about equal work.

    A shard has up to max(ceil(N/1000), clamp(N/2W, 500, 5000)) rows and 32 MiB, give or take a block, because it
    consists of whole blocks; both limits yield if there would be more than 1000 shards. A block's weight is the part of
    a full shard that it fills, by rows or by bytes, whichever is more. The total weight is divided into equal lengths,
    and a block belongs to the length that contains its middle: so there is no small remainder at the end.

    Args:
        index: index of the source; N is its number of rows.
        processes: W, how many shards run in parallel.

    Returns:
        1 to 1000 shards, none of them empty, numbered from 0 like Airflow's map indexes, with all rows in order. No
        shards if the index has no blocks.
    """
    rows = rows_per_shard(index.rows, processes)
    weights = [max(block.rows * MAX_SHARD_BYTES, (block.end - block.start) * rows) for block in index.blocks]
    total = sum(weights)
    count = min(MAX_SHARDS, ceil_div(total, rows * MAX_SHARD_BYTES))
    places = []
    before = 0
    for weight in weights:
        places.append((2 * before + weight) * count // (2 * total))
        before += weight
    runs = groupby(zip(places, index.blocks, strict=True), key=lambda placed: placed[0])
    return tuple(_shard(number, [block for _, block in run]) for number, (_, run) in enumerate(runs))


def sample_ranges(rows: int, sample: int, processes: int) -> tuple[tuple[int, int], ...]:
    """Where a sample is taken: first row and number of rows of each shard, in the middle of equal parts of the source.

    Args:
        rows: rows of the source.
        sample: rows to handle, fewer than that.
        processes: W, how many shards run in parallel.
    """
    places = max(SAMPLE_PLACES, ceil_div(sample, rows_per_shard(sample, processes)))
    count = min(places, sample, MAX_SHARDS)
    bounds = [(rows * n // count, sample * n // count) for n in range(count + 1)]
    return tuple(
        (start + (end - start - (until - since)) // 2 + 1, until - since)
        for (start, since), (end, until) in pairwise(bounds)
    )


def rows_per_shard(rows: int, processes: int) -> int:
    """Rows of a full shard, regardless of its bytes."""
    fair = ceil_div(rows, SHARDS_PER_PROCESS * processes)
    return max(ceil_div(rows, MAX_SHARDS), min(max(fair, MIN_SHARD_ROWS), MAX_SHARD_ROWS))


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of Airflow's: the shards of one run share its slots."""

    name: str
    slots: int
    description: str


def pool_for(run_id: str, thread_num: int, settings: Settings) -> Pool:
    """The pool of a run, which lets as many of its shards run at once as `thread_num` needs."""
    slots = pool_slots(thread_num, settings.rows_per_process)
    return Pool(pool_of_run(run_id), slots, f"Shards of import {run_id} at once; 0 pauses it")


def pool_slots(thread_num: int, rows_per_process: int) -> int:
    """W, how many shards run in parallel: enough processes for a concurrency of `thread_num`.

    At least two, so that one keeps working while the process of another's successor starts; the grants keep to
    `thread_num` exactly whatever W is.
    """
    return max(2, ceil_div(thread_num, rows_per_process))


def shard_names(shards: Sequence[Shard]) -> str:
    """The first shards by number and rows, for a message."""
    names = [f"{shard.number} (rows {shard.first_row}-{shard.last_row})" for shard in shards[:MOST_NAMED]]
    return ", ".join(names + ["..."] * (len(shards) > MOST_NAMED))


def ceil_div(dividend: int, divisor: int) -> int:
    """Quotient of integers, rounded up; exact, which `math.ceil` of a float is not."""
    return -(-dividend // divisor)


def _shard(number: int, blocks: list[Block]) -> Shard:
    first, last = blocks[0], blocks[-1]
    return Shard(
        number=number,
        first_row=first.first_row,
        rows=sum(block.rows for block in blocks),
        start=first.start,
        end=last.end,
        line=first.line,
    )
