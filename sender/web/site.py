"""What the sender worker's handlers need of the rest of the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sender.inbox import Inbox
from sender.links import ConfirmLinks, LinkMaker
from sender.render import Renderer
from sender.web.seats import Seats
from streams.limits import Limits
from streams.metrics import Metrics
from streams.revocations import Revocations
from streams.settings import Settings
from streams.web.health import Paused, Waiting
from streams.web.site import Produce


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSite:
    """Settings, the stores, and callables that app.py gives.

    `now()` is business time: the clock's, by which links expire. `streams` are the base URLs of
    the streams workers, who know what holds for a person.
    """

    settings: Settings
    metrics: Metrics
    produce: Produce
    inbox: Inbox
    seats: Seats
    links: LinkMaker
    confirm_links: ConfirmLinks
    revocations: Revocations
    limits: Limits
    now: Callable[[], datetime]
    renderer: Renderer
    streams: Callable[[], Awaitable[Sequence[str]]]
    waiting: Waiting
    paused: Paused
