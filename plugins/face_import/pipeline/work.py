"""What a try needs to work on a shard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from face_import.catalogue import ImportTask
from face_import.domain.models import OutcomeBatch, Row, Shard
from face_import.pipeline.meter import Meter, Observe, unobserved


@dataclass(frozen=True, slots=True)
class ShardWork:
    """A shard, and who works on it how.

    Attributes:
        owner: uuid of the try's task instance.
        rows: the shard's rows, from its first one.
        push: hands a batch over to the ledger; called in a thread, may be repeated with the same batch.
        meter: records the calls to the services.
        observe: called with the metrics after each batch that is in the ledger; in a thread, does not raise.
    """

    task: ImportTask
    shard: Shard
    owner: str
    rows: Iterator[Row]
    push: Callable[[OutcomeBatch], None]
    meter: Meter = field(default_factory=Meter)
    observe: Observe = unobserved
