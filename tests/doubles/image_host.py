"""An image host on loopback; pictures are made from their path, so ten million rows need no file.

    python -m tests.doubles.image_host --port 9000

GET  /ok/<n>.jpg                a picture of its own for every n
     /spec/<base64 JSON>.jpg    a picture that carries the spec (tests.doubles.images.spec_path)
     /named/<name>?mark=<etag | date>      the picture that `pictures` names, with that validator; 304 if it is known
     /missing /broken /cut /text /empty    404; cut-off JPEG; connection lost in the body; no picture; nothing
     /slow?s=<seconds>          a picture, after a while
     /drip?s=<seconds>          a picture, a byte at a time, never ending within s
     /huge?bytes=<n>&length=0   n bytes; without Content-Length if length is 0
     /redirect?to=<url>         302; /redirect/<k> redirects k times and ends at /ok/1.jpg
     /status/<code>?retry_after=<s>        that status
     /flaky/<k>/<name>?code=<c>            fails k times by name, with status c or (0) a reset, then a picture
     /cookie                    sets a cookie; /echo answers the request's headers as JSON
     /csv?rows=<n>              a source file
POST /__hosts, GET /__hosts     further hosts, in trouble if wanted: see tests.doubles.hosts
POST /__control {"latency_s": 0.02, "pictures": {"<name>": spec}, "reset": true}    GET /__record [?paths=1] [&reset=1]
"""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from tests.doubles import hosts, serving
from tests.doubles.hosts import HOSTS, Handler, Hosts
from tests.doubles.images import Spec, make_image, spec_of_path

routes = web.RouteTableDef()


@dataclass
class Seen:
    """What was fetched, and how slowly to answer."""

    latency_s: float = 0.0
    paths: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    pictures: dict[str, Spec] = field(default_factory=dict)
    not_modified: int = 0
    in_flight: int = 0
    max_in_flight: int = 0


STATE: web.AppKey[Seen] = web.AppKey("state", Seen)


@web.middleware
async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count every fetch by path, and how many there are at once."""
    if request.path.startswith("/__"):
        return await handler(request)
    if host := request.app[HOSTS].of(request):
        return await host.serve(request, handler)
    seen = request.app[STATE]
    seen.paths[request.raw_path] += 1
    seen.in_flight += 1
    seen.max_in_flight = max(seen.max_in_flight, seen.in_flight)
    try:
        if seen.latency_s:
            await asyncio.sleep(seen.latency_s)
        return await handler(request)
    finally:
        seen.in_flight -= 1


def picture(data: bytes) -> web.Response:
    """Answer a picture."""
    return web.Response(body=data, content_type="image/jpeg")


@routes.get(r"/ok/{n:\d+}.jpg")
async def ok(request: web.Request) -> web.Response:
    """A picture of its own for every number."""
    return picture(make_image({"n": int(request.match_info["n"])}))


@routes.get("/named/{name}")
async def named(request: web.Request) -> web.StreamResponse:
    """A picture that changes with `pictures`; its date is as many days after 1970 as its spec's `n`."""
    seen, spec = request.app[STATE], request.app[STATE].pictures.get(request.match_info["name"])
    if spec is None:
        raise web.HTTPNotFound
    response, mark = picture(make_image(spec)), request.query.get("mark")
    if mark == "etag":
        response.etag = hashlib.sha256(make_image(spec)).hexdigest()
        known = any(etag.value == response.etag.value for etag in request.if_none_match or ())
    else:
        modified = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=spec.get("n", 0))
        response.last_modified = modified if mark == "date" else None
        known = mark == "date" and request.if_modified_since == modified
    if not known:
        return response
    seen.not_modified += 1
    return web.Response(status=304)


@routes.get("/spec/{name}")
async def spec(request: web.Request) -> web.Response:
    """A picture that carries the spec its path encodes."""
    return picture(make_image(spec_of_path(request.match_info["name"])))


@routes.get("/broken")
async def broken(_request: web.Request) -> web.Response:
    """A whole answer with half a picture in it."""
    data = make_image()
    return picture(data[: len(data) // 2])


@routes.get("/cut")
async def cut(request: web.Request) -> web.StreamResponse:
    """A connection lost in the middle of the body."""
    data = make_image()
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[:100])
    _reset(request)
    return response


@routes.get("/text")
async def text(_request: web.Request) -> web.Response:
    """Something that is no picture."""
    return web.Response(text="<html>not a picture</html>")


@routes.get("/empty")
async def empty(_request: web.Request) -> web.Response:
    """A success without a body."""
    return web.Response()


@routes.get("/slow")
async def slow(request: web.Request) -> web.Response:
    """A picture, after a while."""
    await asyncio.sleep(float(request.query.get("s", "1")))
    return picture(make_image())


@routes.get("/drip")
async def drip(request: web.Request) -> web.StreamResponse:
    """A picture that always comes and never is there."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(int(float(request.query.get("s", "5")) * 20)):
        await response.write(b"\xff")
        await asyncio.sleep(0.05)
    return response


@routes.get("/huge")
async def huge(request: web.Request) -> web.StreamResponse:
    """As many bytes as wanted, announced or not."""
    left = int(request.query.get("bytes", str(64 << 20)))
    response = web.StreamResponse()
    if request.query.get("length") != "0":
        response.content_length = left
    await response.prepare(request)
    while left > 0:
        await response.write(bytes(min(left, 1 << 16)))
        left -= 1 << 16
    return response


@routes.get("/redirect")
async def redirect_to(request: web.Request) -> web.Response:
    """A redirect to anywhere."""
    return web.Response(status=302, headers={"Location": request.query["to"]})


@routes.get(r"/redirect/{k:\d+}")
async def redirect(request: web.Request) -> web.Response:
    """A chain of redirects."""
    k = int(request.match_info["k"])
    return web.Response(status=302, headers={"Location": f"/redirect/{k - 1}" if k > 1 else "/ok/1.jpg"})


@routes.get(r"/status/{code:\d+}")
async def status(request: web.Request) -> web.Response:
    """A status, with `Retry-After` if wanted."""
    wait = request.query.get("retry_after")
    return web.Response(
        status=int(request.match_info["code"]), headers={"Retry-After": wait} if wait is not None else None
    )


@routes.get(r"/flaky/{k:\d+}/{name}")
async def flaky(request: web.Request) -> web.Response:
    """A few failures, then a picture."""
    failures, name = request.app[STATE].failures, request.match_info["name"]
    failures[name] += 1
    if failures[name] > int(request.match_info["k"]):
        return picture(make_image())
    code = int(request.query.get("code", "503"))
    if not code:
        _reset(request)
        await asyncio.sleep(60)
    wait = request.query.get("retry_after")
    return web.Response(status=code, headers={"Retry-After": wait} if wait is not None else None)


@routes.get("/cookie")
async def cookie(_request: web.Request) -> web.Response:
    """A cookie nobody should keep."""
    response = picture(make_image())
    response.set_cookie("session", "1")
    return response


@routes.get("/echo")
async def echo(request: web.Request) -> web.Response:
    """The request's own headers."""
    return web.json_response(dict(request.headers))


@routes.get("/csv")
async def csv(request: web.Request) -> web.Response:
    """A source whose rows this host serves."""
    base = f"{request.scheme}://{request.host}"
    rows = range(1, int(request.query.get("rows", "10")) + 1)
    return web.Response(text="".join(f"{base}/ok/{n}.jpg,tag{n},\n" for n in rows), content_type="text/csv")


@routes.post(serving.CONTROL)
async def control(request: web.Request) -> web.Response:
    """Set the latency; forget what was seen, if asked."""
    wanted, seen = await request.json(), request.app[STATE]
    seen.latency_s = float(wanted.get("latency_s", 0.0))
    seen.pictures = wanted.get("pictures", {})
    if wanted.get("reset"):
        await request.app[HOSTS].forget()
        seen.not_modified = 0
        seen.paths.clear()
        seen.failures.clear()
        seen.max_in_flight = seen.in_flight
    return web.json_response({})


@routes.get(serving.RECORD)
async def record(request: web.Request) -> web.Response:
    """Say what was fetched: totals, and with `paths=1` the count of every path."""
    seen = request.app[STATE]
    answer: dict[str, object] = {
        "fetches": seen.paths.total(),
        "distinct": len(seen.paths),
        "in_flight": seen.in_flight,
        "max_in_flight": seen.max_in_flight,
        "not_modified": seen.not_modified,
    }
    if request.query.get("paths"):
        answer["paths"] = dict(seen.paths)
    return web.json_response(answer)


def _reset(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def make_app() -> web.Application:
    """Return the host."""
    app = web.Application(middlewares=[recorded])
    app[STATE] = Seen()
    app[HOSTS] = Hosts()
    app.add_routes([*routes, *hosts.routes])
    return app


if __name__ == "__main__":
    serving.run(make_app(), __doc__)
