"""The wall clock's ticks: once a second into every partition that this worker owns."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any, Final

import faust
import msgspec
from mode import Service

from streams.errors import BrokerUnavailable
from streams.events import Tick, now_utc
from streams.outgoing import Outgoing
from streams.records import Output
from streams.topics import CLOCK

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
# A tick further ahead of the wall clock than this is a mistake or an attack (CONTRACT, `clock`).
AHEAD: Final = timedelta(seconds=60)

_decode: Final = msgspec.json.Decoder(Tick).decode


def tick_of(value: bytes | None) -> datetime:
    """Return the time that a record of the clock says."""
    at = _decode(value or b"").at
    assert isinstance(at, datetime)
    return at


class Ticker(Service):
    """Ticks. Two tickers for one partition do no harm: time there never goes back."""

    def __init__(self, app: faust.App, outgoing: Outgoing, **options: Any) -> None:
        super().__init__(**options)
        self._app = app
        self._outgoing = outgoing

    @Service.task
    async def _tick(self) -> None:
        async for _ in self.itertimer(INTERVAL, name="clock"):
            owned = [
                tp.partition for tp in self._app.consumer.assignment() if tp.topic == CLOCK.name
            ]
            value = b'{"at":"%s"}' % now_utc().isoformat().encode()
            ticks = [Output(CLOCK, None, value, partition) for partition in owned]
            try:
                await self._outgoing.try_to_send(ticks, within=5 * INTERVAL)
            except BrokerUnavailable as error:
                logger.warning("no tick: %s", error)
