"""What supervisors and Prometheus ask: alive, ready, numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from streams.errors import Retryable
from streams.metrics import CONTENT_TYPE, Metrics
from streams.web.answers import Handler, answer, later

#: What a worker still waits for, by name: `tables`, `broker`, `redis`; nothing when ready.
Waiting = Callable[[], Awaitable[Sequence[str]]]
#: What stands still though the worker is ready, and why: its pages work all the same.
Paused = Callable[[], Sequence[str]]

# Supervisors give up after seconds themselves; a probe that hangs is a no.
PROBE_SECONDS: Final = 3.0


class Health:
    """The three addresses that both workers have."""

    def __init__(self, waiting: Waiting, metrics: Metrics, paused: Paused | None = None) -> None:
        """Ask `waiting` and `paused` at every call of /health/ready."""
        self._waiting = waiting
        self._paused = paused
        self._metrics = metrics

    async def live(self, request: web.Request) -> web.Response:
        """Say that the loop turns."""
        return answer({"live": True})

    async def ready(self, request: web.Request) -> web.Response:
        """Say whether the worker does its work, and else what it waits for."""
        waits = await waits_for(self._waiting)
        told: dict[str, object] = {"ready": not waits, "waits_for": waits}
        if self._paused is not None:
            told["paused"] = list(self._paused())
        return answer(told, 503 if waits else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Show the numbers; with `name[]`, as Prometheus' own clients have it, those alone."""
        names = request.query.getall("name[]", [])
        try:
            body = await asyncio.wait_for(self._metrics.render(names), PROBE_SECONDS)
        except TimeoutError:
            return later("the numbers could not be read in time")
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    def mount(self, web_app: web.Application) -> None:
        """Serve them."""
        web_app.router.add_get("/health/live", self.live)
        web_app.router.add_get("/health/ready", self.ready)
        web_app.router.add_get("/metrics", self.metrics)


async def waits_for(waiting: Waiting) -> list[str]:
    """Return what a worker waits for, also where it cannot say so in time."""
    try:
        return list(await asyncio.wait_for(waiting(), PROBE_SECONDS))
    except TimeoutError:
        return ["an answer of the broker or Redis"]
    except Retryable as error:
        return [str(error)]


def measured(metrics: Metrics) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return the middleware that counts and times answers by route; never by path."""

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        start = time.perf_counter()
        response = await handler(request)
        if not isinstance(response, web.WebSocketResponse):
            # A socket's hours would say nothing about answers.
            metrics.request_seconds.labels(route).observe(time.perf_counter() - start)
        metrics.requests.labels(route, str(response.status)).inc()
        return response

    return measure
