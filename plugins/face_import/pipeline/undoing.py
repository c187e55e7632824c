"""One row's way in an undo: a face that another import has added is removed, if it is still that one's (ADR 34)."""

from dataclasses import dataclass
from functools import partial
from typing import cast

from face_import.catalogue import Holder, Holdings
from face_import.contract import Code
from face_import.domain.models import AddedFace, Outcome, Removal, Row, Sent
from face_import.pipeline.row import RowImporter


@dataclass(frozen=True, kw_only=True)  # no slots: they create a new class, which `super()` would not find
class FaceRemover(RowImporter):
    """Removes faces that another import has added.

    Attributes:
        undoes: that import.
        holdings: what the import's entry has in the group; unused without an entry.
    """

    undoes: str
    holdings: Holdings

    async def import_row(self, row: Row) -> Outcome:
        """Remove the row's face; raises as an import does."""
        return await self._handled(row)

    async def _import_good_row(self, row: Row) -> Outcome:
        """Remove the face.

        Its holding is taken over before the face goes, so that the entry's own imports stay away from it. It is given
        back if the face stays, and removed with the row's outcome if it does not.
        """
        face = cast("AddedFace", row)
        outcome = partial(Outcome, row.number, row.uri)
        held = bool(face.added.key)
        if held and not await self._in_catalogue(
            partial(self.holdings.take_over, face.added, row.number, of=self.undoes)
        ):
            return outcome(Code.REPLACED, "a later import of the entry has this row now; its face stays")
        removed = await self.remover.remove(self._sent(face))
        if removed.holder is not None:
            if held:
                await self._in_catalogue(partial(self.holdings.hand_back, face.added, row.number, to=self.undoes))
            return outcome(Code.REPLACED, _kept(removed.holder, face.id))
        if removed.verdict is not None:
            left = removed.verdict
            return outcome(left.code, left.message, refused=left.refused, is_open=left.is_open, reason=left.reason)
        return outcome(Code.OK, f"removed {face.id}", undone=face.added)

    def _sent(self, face: AddedFace) -> Sent:
        removal = Removal(added_by=self.undoes, added_at=face.added.at)
        return self.adder.journal.earlier.get(face.number) or Sent(face.number, face.id, b"", removal)


def _kept(holder: Holder, face_id: str) -> str:
    who = f"row {holder.row} of import {holder.task_id}"
    if holder.settled:
        return f"{who} has added a face with id {face_id!r} later; that one stays"
    return f"{who} may be adding a face with id {face_id!r}; retry this row when that import has ended"
