"""The worker with other deadlines: those that a test can wait for, and those that none reaches."""

from api_shim import events
from api_shim.worker import Worker


class Impatient(Worker):
    """It waits for two seconds."""

    wait_s = 2.0
    patience_s = 2.0


class Patient(Worker):
    """It waits for longer than any test takes, on however slow a machine."""

    wait_s = 300.0
    patience_s = 300.0


class Brief(Worker):
    """Its live events end after a moment."""

    def init_process(self) -> None:
        """Start serving."""
        events.LONGEST_S = 0.2
        super().init_process()
