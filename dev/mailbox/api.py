"""Mailpit's API, version 1: the part that programs ask mails with."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from dev.mailbox.parse import headers, texts
from dev.mailbox.store import Mail, Mailbox

MAILBOX: Final = web.AppKey("mailbox", Mailbox)
# How many new mails are read in one go before others get their turn: about 10 ms.
SLICE: Final = 200

routes: Final = web.RouteTableDef()


class Forget(msgspec.Struct, rename={"ids": "IDs"}):
    """The body of a DELETE: which mails; none means all."""

    ids: list[str] = []


def answer(value: Any) -> web.Response:
    """Return a value as JSON."""
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def whole(request: web.Request, name: str, default: int) -> int:
    """Return a number of the query, at least 0."""
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"{name}={text!r}: wants a whole number")
    return int(text)


def wanted(request: web.Request) -> Mail:
    """Return the mail that the path names."""
    mail = request.app[MAILBOX].get(request.match_info["id"])
    if mail is None:
        raise web.HTTPNotFound(text="no such mail")
    return mail


async def page(mailbox: Mailbox, start: int, limit: int) -> list[Mail]:
    """Return mails with their summaries read."""
    mails = list(mailbox.newest(start, limit))
    for index in range(0, len(mails), SLICE):
        for mail in mails[index : index + SLICE]:
            _ = mail.summary
        await asyncio.sleep(0)
    return mails


def brief(mail: Mail) -> dict[str, Any]:
    """Return a mail as the list shows it."""
    summary = mail.summary
    return {
        "ID": mail.id,
        "MessageID": summary.message_id,
        "From": summary.sender,
        "To": summary.to,
        "Cc": summary.cc,
        "Subject": summary.subject,
        "Created": mail.created,
        "Size": len(mail.content),
    }


@routes.get("/api/v1/messages")
async def messages(request: web.Request) -> web.Response:
    """List the mails, newest first."""
    mailbox = request.app[MAILBOX]
    start = whole(request, "start", 0)
    mails = await page(mailbox, start, whole(request, "limit", 50))
    return answer(
        {
            "total": len(mailbox),
            "count": len(mails),
            "messages_count": len(mailbox),
            "start": start,
            "messages": [brief(mail) for mail in mails],
        }
    )


@routes.get("/api/v1/message/{id}")
async def message(request: web.Request) -> web.Response:
    """Show one mail with its texts."""
    mail = wanted(request)
    text, html = texts(mail.content)
    head = headers(mail.content)
    return answer(
        {
            **brief(mail),
            "ReturnPath": mail.sender,
            "Date": head["Date"] or "",
            "ListUnsubscribe": {
                "Header": head["List-Unsubscribe"] or "",
                "HeaderPost": head["List-Unsubscribe-Post"] or "",
            },
            "Text": text,
            "HTML": html,
        }
    )


@routes.get("/api/v1/message/{id}/raw")
async def raw(request: web.Request) -> web.Response:
    """Show one mail byte for byte."""
    return web.Response(body=wanted(request).content, content_type="text/plain", charset="utf-8")


@routes.delete("/api/v1/messages")
async def delete(request: web.Request) -> web.Response:
    """Forget the mails that the body names, all when it names none."""
    body = await request.read()
    try:
        forget = msgspec.json.decode(body, type=Forget) if body.strip() else Forget()
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    request.app[MAILBOX].delete(forget.ids)
    return web.Response(text="ok")
