"""An S3 server: moto's, as a process of its own, with buckets that are gone when it ends."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from tests.doubles.process import end
from tests.waiting import until

RUNNING = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class ObjectStore:
    """`moto_server` on a free port, as a context manager.

    Args:
        log: file that gets what it prints, among it a line for each request.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it, and credentials, in AWS's own variables."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAFACEIMPORTTESTS0",
            "AWS_SECRET_ACCESS_KEY": "s3cret/of+the/tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def client(self) -> Any:
        """A client that is not the one under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}),
        )

    def bucket(self, name: str) -> str:
        """Make an empty bucket, and return its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """All visible objects of a bucket."""
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def presigned(self, bucket: str, key: str) -> str:
        """An address at which an object can be read for an hour without credentials."""
        url: str = self.client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=3600)
        return url

    def __enter__(self) -> Self:
        """Start it and wait until it says where it listens."""
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
            # werkzeug is quiet about its address under a supervisor of its own reloader, and takes that from here
            environment = {name: value for name, value in os.environ.items() if not name.startswith("WERKZEUG_")}
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: process.poll() is not None or RUNNING.search(self.log.read_text()))
            (self.url,) = RUNNING.findall(self.log.read_text())
        except (AssertionError, ValueError):
            end(process)
            raise RuntimeError(f"the object store did not start:\n{self.log.read_text()}") from None
        self._process = process
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        end(self._process)
