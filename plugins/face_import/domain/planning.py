"""How an import is cut into shards, and how many of them run at once."""

from dataclasses import dataclass
from itertools import groupby

from face_import.domain.identity import pool_of_run
from face_import.domain.models import Block, Shard, SourceIndex
from face_import.settings import Settings

MAX_SHARDS = 1000
"""Below Airflow's `max_map_length` of 1024."""
MIN_SHARD_ROWS = 500
"""Fewer would spend more time on starting task instances than on faces."""
MAX_SHARD_ROWS = 5000
"""More would make the grid a coarse picture of progress and a lost shard a long way back."""
SHARDS_PER_PROCESS = 2
"""So that a process which finishes early finds another shard; what it leaves before, the others take over (ADR 11)."""
MAX_SHARD_BYTES = 32 * 2**20


def plan_shards(index: SourceIndex, processes: int) -> tuple[Shard, ...]:
    """Cut a source into shards of about equal work.

    A shard has up to max(ceil(N/1000), clamp(N/2W, 500, 5000)) rows and 32 MiB, give or take a
    block, because it is made of whole blocks; both give way where they would make more than 1000
    shards. Each block weighs the part of a full shard it fills, by rows or by bytes, whichever is
    more, and goes where its middle lies when the total is cut into equal lengths: so there is no
    small rest at the end.

    Args:
        index: what is to be cut; N is its number of rows.
        processes: W, how many shards will run at once.

    Returns:
        1 to 1000 shards, none of them empty, numbered from 0 as Airflow's map indexes are, holding
        all rows in order. None, if the index has no blocks.
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


def rows_per_shard(rows: int, processes: int) -> int:
    """Rows of a full shard, before its bytes are considered."""
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
    """W, how many shards run at once: enough for `thread_num` rows in flight, so many to a process.

    At least two, so that one goes on while the process of another's successor starts: the grants keep
    `thread_num` exact whatever W is.
    """
    return max(2, ceil_div(thread_num, rows_per_process))


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
