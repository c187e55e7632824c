"""What both doubles share: a command line, a line that says where they listen, an end with their parent."""

import argparse
import asyncio
import os
import signal

from aiohttp import web

HEALTH, CONTROL, RECORD, QUIT, HOSTS = "/__health", "/__control", "/__record", "/__quit", "/__hosts"
ANNOUNCEMENT = "listening on "
RUNNER: web.AppKey[web.AppRunner] = web.AppKey("runner", web.AppRunner)
"""Through it a double listens on further ports."""


def run(app: web.Application, doc: str | None) -> None:
    """Serve `app` on 127.0.0.1 until told to quit, signalled, or orphaned."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    arguments = parser.parse_args()
    asyncio.run(_serve(app, arguments.port, os.getppid()))


async def _serve(app: web.Application, port: int, parent: int) -> None:
    end = asyncio.Event()

    async def quit_(_request: web.Request) -> web.Response:
        end.set()
        return web.json_response({})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"pid": os.getpid()})

    app.router.add_post(QUIT, quit_)
    app.router.add_get(HEALTH, health)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    app[RUNNER] = runner
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024, reuse_address=True)
    await site.start()
    print(f"{ANNOUNCEMENT}http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201 - the handshake
    orphaned = asyncio.create_task(_orphaned(parent, end))
    await end.wait()
    orphaned.cancel()
    await runner.cleanup()


async def _orphaned(parent: int, end: asyncio.Event) -> None:
    """Set `end` once the parent is gone.

    Polled rather than asked of the kernel: PR_SET_PDEATHSIG fires when the *thread* that started us ends.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - a process has no event for this
        await asyncio.sleep(0.3)
    end.set()
