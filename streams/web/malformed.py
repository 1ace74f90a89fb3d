"""What is no HTTP: aiohttp answers and logs it itself, before any handler, middleware or signal.

Left alone it quotes the request, token and all, in both.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from streams.web.answers import HEADERS, problem

handle_error = web.RequestHandler.handle_error
data_received = web.RequestHandler.data_received


def install() -> None:
    """Answer and log so on every connection of this process; aiohttp has no setting for that."""
    web.RequestHandler.handle_error = refuse  # type: ignore[method-assign, assignment]
    web.RequestHandler.data_received = take  # type: ignore[method-assign, assignment]
    server_logger.addFilter(wordless)


def wordless(record: logging.LogRecord) -> bool:
    """Leave of an error that quotes a request its name alone."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.msg, record.args = f"{record.getMessage()} ({type(error).__name__})", ()
        record.exc_info = None
    return True


def refuse(
    connection: web.RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    """Return the answer to a request that could not be read, or to an error of aiohttp's own."""
    response = handle_error(connection, request, status, exc, message)
    if isinstance(exc, HttpProcessingError):
        response = problem(status, HTTPStatus(status).phrase)
        response.force_close()
    response.headers.update(HEADERS)
    return response


def take(connection: web.RequestHandler, data: bytes) -> None:
    """Tell whoever waits for a body that the rest of it is no HTTP.

    aiohttp's parser in C drops a body at a malformed chunk and lets its reader wait for ever.
    """
    data_received(connection, data)
    messages = connection._messages
    if not messages or isinstance(messages[-1][0], RawRequestMessage):
        return
    request = connection._current_request
    body = messages[-2][1] if len(messages) > 1 else request.content if request else None
    if body is not None and not body.is_eof():
        body.set_exception(web.RequestPayloadError("a malformed chunk"))
        body.feed_eof()
        # What follows in it is part of nothing.
        connection.close()
