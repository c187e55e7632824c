"""img2dataset over a list of URLs, in its own environment; prints images and seconds as JSON."""

import json
import sys
import time
from pathlib import Path

from img2dataset import download  # type: ignore[import-not-found] # is in another environment


def main(listed: str, output: str, processes: str, threads: str) -> None:
    """Download and decode, nothing resized, nothing encoded again."""
    began = time.perf_counter()
    download(
        url_list=listed,
        output_folder=output,
        processes_count=int(processes),
        thread_count=int(threads),
        number_sample_per_shard=500,
        resize_mode="no",
        skip_reencode=True,
        enable_wandb=False,
    )
    seconds = time.perf_counter() - began
    images = sum(1 for _ in Path(output).rglob("*.jpg"))
    print(json.dumps({"images": images, "seconds": seconds}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
