"""What every answer of both workers has in common: JSON, errors as JSON, security headers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from streams.errors import Retryable

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON: Final = "application/json"
# A page of this size holds any form of ours; what is larger was not written by one.
FORM_LIMIT: Final = 64 * 1024
# How soon to ask again: a recovery or a broker's restart takes seconds.
RETRY_AFTER: Final = "2"
#: Nothing inline and nothing foreign. `{form}` is where a form may lead, redirects included.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action {form}; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY.format(form="'self'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What is not said to be cacheable is about a person or about now.
    "Cache-Control": "no-store",
}


def answer(
    data: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> web.Response:
    """Return the data as JSON."""
    return web.Response(
        body=msgspec.json.encode(data), status=status, headers=headers, content_type=content_type
    )


def problem(
    status: int, message: str, code: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error as Kafka's REST proxy writes one: a code, which may refine the status."""
    return answer({"error_code": code or status, "message": message}, status, headers)


def later(message: str, code: int | None = None) -> web.Response:
    """Return a 503 that says when to ask again."""
    return problem(503, message, code, {"Retry-After": RETRY_AFTER})


def unauthorized(message: str, code: int | None = None) -> web.Response:
    """Return a 401 that says how to identify oneself (RFC 6750)."""
    return problem(401, message, code, {"WWW-Authenticate": "Bearer"})


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Set the security headers that the handler has not set itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make every error an answer in JSON, and none of them a look inside."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = error.headers.get("Allow")
        return problem(error.status, error.reason, headers={"Allow": allow} if allow else None)
    except web.RequestPayloadError:
        # Without its words: they quote the body.
        response = problem(400, "the body is not what its headers say")
        response.force_close()
        return response
    except Retryable as error:
        return later(str(error))
    except Exception:
        # The route's pattern, not the path: paths hold codes and tokens.
        resource = request.match_info.route.resource
        where = resource.canonical if resource is not None else "?"
        logger.exception("%s %s failed", request.method, where)
        return problem(500, "internal error")


async def form(request: web.Request) -> Mapping[str, Any]:
    """Read the fields of a small form; HTTPRequestEntityTooLarge for anything else."""
    return await request.clone(client_max_size=FORM_LIMIT).post()


def wants_page(request: web.Request) -> bool:
    """Tell whether a browser is asking: programs name JSON, or take anything."""
    return "text/html" in request.headers.get("Accept", "")
