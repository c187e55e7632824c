"""The worker, with deadlines that a test can wait for."""

from api_shim import worker


class Worker(worker.Worker):
    """It waits for two seconds."""

    wait_s = 2.0
    patience_s = 2.0
