"""Row 5: fetch and full check of images alone, against img2dataset in an environment of its own."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from bench.figures import Figure, at_least, pairs, ratios
from bench.workbench import Workbench, child
from face_import.clients.fetcher import Fetcher
from face_import.domain.image import check_image
from face_import.settings import CHECKOUT, Settings

IMAGES = 3_000
CORES = 2
AT_ONCE = 32
ENVIRONMENT = CHECKOUT / ".bench" / "img2dataset"
VERSION = "1.47.0"


def set_up() -> Path:
    """Make img2dataset's environment once; returns its interpreter. The only step that needs a package index."""
    python = ENVIRONMENT / "bin" / "python"
    probe = "import img2dataset"
    if python.exists() and subprocess.run([python, "-W", "ignore", "-c", probe], check=False).returncode == 0:
        return python
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"img2dataset=={VERSION}"], check=True)
    return python


def fetching(bench: Workbench) -> Iterator[Figure]:
    """Images a second, both with two processes and as many connections."""
    python = set_up()
    bench.services.delay(0)
    uris = [f"{bench.services.url}/image/{number}.jpg" for number in range(IMAGES)]
    listed = bench.folder / "uris.txt"
    listed.write_text("\n".join(uris))

    def ours() -> float:
        return IMAGES / float(child("bench.fetching", listed)["seconds"])

    def peer() -> float:
        output = bench.folder / "img2dataset"
        shutil.rmtree(output, ignore_errors=True)
        quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONWARNINGS": "ignore"}
        told = child("bench.img2dataset_peer", listed, output, CORES, AT_ONCE, python=python, **quiet)
        assert told["images"] == IMAGES, told
        return IMAGES / float(told["seconds"])

    measured = pairs(ours, peer)
    rate, other = (median(side) for side in zip(*measured, strict=True))
    note = f"{rate:.0f} images/s; img2dataset {VERSION} {other:.0f}"
    yield at_least(5, "images/s fetched and checked / img2dataset", 2.0, ratios(measured), note=note)


async def _checked(uris: Sequence[str]) -> int:
    settings = Settings(fetch_allow=("127.0.0.0/8",))
    waiting = iter(uris)
    done = 0
    async with Fetcher(settings) as fetcher:

        async def work() -> None:
            nonlocal done
            for uri in waiting:
                async with fetcher.fetched(uri) as data:
                    await asyncio.to_thread(check_image, data, settings.max_image_pixels)
                    done += 1

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return done


def check_all(uris: Sequence[str]) -> int:
    """Fetch and check pictures; returns how many."""
    return asyncio.run(_checked(uris))


def main(listed: Path) -> None:
    """Fetch and check in one process per core; prints the seconds, the start of the processes included."""
    uris = listed.read_text().split()
    began = time.perf_counter()
    with get_context("spawn").Pool(CORES) as pool:
        done = sum(pool.map(check_all, [uris[n::CORES] for n in range(CORES)], chunksize=1))
    assert done == len(uris), done
    print(json.dumps({"seconds": time.perf_counter() - began}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
