"""Starts the bench's server, and sees it as a bare client does."""

import http.client
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from PIL import Image
from skimage import data

from face_import.domain.uri import to_data_uri

CHECKOUT = Path(__file__).resolve().parents[1]
ROUNDS = 40
"""Rows of each bare client."""


def photograph(quality: int = 83, side: int = 512) -> bytes:
    """A JPEG of about 50 kB, or a smaller one."""
    buffer = io.BytesIO()
    photo = data.astronaut()  # type: ignore[no-untyped-call]
    Image.fromarray(photo).resize((side, side)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@dataclass(frozen=True)
class Services:
    """The running server.

    Attributes:
        port: where it listens on 127.0.0.1.
        picture: what it answers to `GET /image/...`.
    """

    port: int
    picture: bytes

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def delay(self, seconds: float, *, images: float | None = None) -> None:
        """Answer so much later from now on; pictures by another delay, if one is given."""
        self._get(f"/delay/{seconds if images is None else images}/{seconds}")

    def adds(self) -> dict[int, float]:
        """When the first and every hundredth face was added since this was asked last, by their number."""
        return dict(json.loads(self._get("/adds")))

    def rows(self, count: int) -> list[str]:
        """Lines of CSV, each with a URI of its own."""
        return [f"{self.url}/image/{number}.jpg,tag{number},a person" for number in range(count)]

    def bare_rate(self, clients: int) -> float:
        """Rows/s of so many bare clients at once, each of which makes a row's three calls one after the other."""
        with ThreadPoolExecutor(clients) as pool:
            return sum(1 / seconds for seconds in pool.map(lambda _: self._three_calls_s(), range(clients)))

    def _three_calls_s(self) -> float:
        """Mean seconds that fetch, detect and add take on a connection that is kept."""
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        uri = to_data_uri(self.picture)
        detect = json.dumps({"data": {"uri": uri}}).encode()
        box = {"pts": [[180, 80], [330, 80], [330, 230], [180, 230]]}
        image = {"id": "x", "uri": uri, "tag": "t", "desc": "a person", "bounding_box": box}
        add = json.dumps({"image": image, "params": {"reject_bad_face": False}}).encode()
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for method, path, body in (
                ("GET", "/image/0.jpg", None),
                ("POST", "/v1/eval/facex-detect", detect),
                ("POST", "/v1/face/groups/staff/add", add),
            ):
                client.request(method, path, body)
                client.getresponse().read()
            times.append(time.perf_counter() - began)
        client.close()
        return mean(times)

    def _get(self, path: str) -> bytes:
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        client.request("GET", path)
        answer = client.getresponse().read()
        client.close()
        return answer


@contextmanager
def services(folder: Path, picture: bytes) -> Iterator[Services]:
    """The server as a process of its own, for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"picture-{len(picture)}.jpg"
    path.write_bytes(picture)
    command = [sys.executable, "-m", "bench.server", str(path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Services(int(process.stdout.readline()), picture)
        finally:
            process.communicate()  # closes its standard input, at which it ends
