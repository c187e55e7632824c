"""The table of blocks: where in a stored source every so many rows begin."""

from collections.abc import Iterable
from itertools import accumulate, pairwise

from face_import.domain.models import Block

BLOCK_ROWS = 100
BLOCK_BYTES = 2**20
MAX_BLOCKS = 16_384
"""At this many, blocks are joined in pairs and grow twice as large from then on.

So the index stays below a megabyte for any source, and the largest of shards, a thousandth of the
rows, still has at least eight blocks to be made of.
"""


class BlockTable:
    """Blocks in the making.

    Attributes:
        rows: rows of each block.
        starts: offset of each block's first byte.
        lines: physical line each block begins at.
        max_rows: rows at which a block is full.
        max_bytes: bytes at which a block is full.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.starts: list[int] = []
        self.lines: list[int] = []
        self.max_rows = BLOCK_ROWS
        self.max_bytes = BLOCK_BYTES

    def add(self, rows: int, start: int, line: int) -> None:
        """Append a block, which reaches to the start of the next."""
        self.rows.append(rows)
        self.starts.append(start)
        self.lines.append(line)
        if len(self.rows) == MAX_BLOCKS:
            self.rows = [first + second for first, second in zip(self.rows[::2], self.rows[1::2], strict=True)]
            self.starts, self.lines = self.starts[::2], self.lines[::2]
            self.max_rows *= 2
            self.max_bytes *= 2

    def blocks(self, size: int) -> tuple[Block, ...]:
        """The blocks of a stored source of `size` bytes."""
        return join_blocks(self.rows, self.starts, self.lines, size)


def join_blocks(rows: Iterable[int], starts: Iterable[int], lines: Iterable[int], size: int) -> tuple[Block, ...]:
    """Blocks from their columns.

    Args:
        rows: rows of each block.
        starts: offset of each block's first byte; it ends where the next one starts.
        lines: physical line each block begins at.
        size: bytes of the stored source, where the last block ends.
    """
    rows = tuple(rows)
    first_rows = accumulate(rows, initial=1)
    ranges = pairwise((*starts, size))
    return tuple(
        Block(first_row=first_row, rows=count, start=start, end=end, line=line)
        for first_row, count, (start, end), line in zip(first_rows, rows, ranges, lines, strict=False)
    )
