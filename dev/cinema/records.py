"""Facts as the records and visits that tell the service of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import singledispatchmethod
from random import Random
from typing import Any, Final

import msgspec

from dev.cinema.almanac import Span
from dev.cinema.facts import (
    Announced,
    Bookmarked,
    Chose,
    Confirmed,
    Fact,
    Joined,
    Left,
    Moved,
    Noted,
    Released,
    Reminded,
    Swept,
    Watched,
    Wrote,
)
from dev.cinema.films import CINEMA_URL, SERIES
from dev.cinema.people import Person

CONFIRM: Final = "confirm"
UNSUBSCRIBE: Final = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Record:
    """One input record; without `partition` it goes where its key lives."""

    topic: str
    key: str | None
    value: bytes | None
    at: datetime
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A person opens a link in a mail: the last one of that kind."""

    purpose: str
    user_id: str
    kind: str


class Scribe:
    """Writes records. Each fact has an event id; most records carry it."""

    def __init__(self, span: Span, people: Mapping[str, Person], seed: int) -> None:
        self.span = span
        self.people = people
        self.random = Random(f"records {seed}")
        self.number = 0

    def write(self, fact: Fact) -> Iterator[Record | Visit]:
        """Yield what tells the service of a fact."""
        self.number += 1
        yield from self._write(fact)

    def moment(self, step: int) -> datetime:
        """Return a time in the first minutes of a step, later for each next record."""
        return self.span.start(step) + timedelta(seconds=1, milliseconds=self.number % 500_000)

    def _record(
        self, fact: Fact, topic: str, key: str | None, value: dict[str, Any], *, named: bool = True
    ) -> Record:
        if named:
            value = value | {"event_id": f"e{self.number:06d}"}
        return Record(topic, key, msgspec.json.encode(value), self.moment(fact.step))

    @singledispatchmethod
    def _write(self, fact: Fact) -> Iterator[Record | Visit]:
        raise TypeError(f"no record tells of {type(fact).__name__}")

    @_write.register
    def _joined(self, fact: Joined) -> Iterator[Record | Visit]:
        person = self.people[fact.user_id]
        created = {"created_at": self.moment(fact.step).isoformat()}
        yield self._record(fact, "users", person.user_id, person.value | created)
        if fact.greeted:
            yield self._record(fact, "registration", person.user_id, self._registration(person))

    def _registration(self, person: Person) -> dict[str, Any]:
        if person.shape == "older":
            return {
                "link_out": f"{CINEMA_URL}/hello",
                "link": f"{CINEMA_URL}/old-confirm",
                "user": person.username,
                "email": person.email,
            }
        value = {"event": "send_greeting", "email": person.email, "username": person.username}
        if person.shape == "plain":
            return value | {"locale": person.locale}
        return value | {
            "user_id": person.user_id,
            "timezone": person.timezone,
            "locale": person.locale,
            "redirect_url": f"{CINEMA_URL}/welcome",
        }

    @_write.register
    def _swept(self, fact: Swept) -> Iterator[Record | Visit]:
        yield self._record(fact, "registration", None, {"event": "send_greeting"})

    @_write.register
    def _confirmed(self, fact: Confirmed) -> Iterator[Record | Visit]:
        yield Visit(CONFIRM, fact.user_id, "welcome")

    @_write.register
    def _watched(self, fact: Watched) -> Iterator[Record | Visit]:
        value = {
            "user_id": fact.user_id,
            "film_id": fact.film_id,
            "seconds": fact.seconds,
            "at": fact.at.isoformat() if fact.seconds % 3 else int(fact.at.timestamp()),
        }
        named = self.random.random() < 0.7
        yield self._record(fact, "watch_history", fact.user_id, value, named=named)

    @_write.register
    def _bookmarked(self, fact: Bookmarked) -> Iterator[Record | Visit]:
        value = {"user_id": fact.user_id, "series_id": fact.series_id, "added": fact.added}
        yield self._record(fact, "bookmarks", fact.user_id, value)

    @_write.register
    def _released(self, fact: Released) -> Iterator[Record | Visit]:
        series = next(one for one in SERIES if one.series_id == fact.series_id)
        value: dict[str, Any] = {
            "series_id": series.series_id,
            "serial_name": series.name,
            "link": f"{series.url}/{fact.episode}",
            "season": 1,
            "episode": fact.episode,
        }
        if fact.addresses:
            value["users"] = [
                {"name": address.split("@")[0], "email": address} for address in fact.addresses
            ]
        yield self._record(fact, "episodes", series.series_id, value)

    @_write.register
    def _moved(self, fact: Moved) -> Iterator[Record | Visit]:
        if fact.by_profile:
            value = self.people[fact.user_id].value | {"timezone": fact.timezone}
            yield self._record(fact, "users", fact.user_id, value)
        else:
            value = {"user_id": fact.user_id, "timezone": fact.timezone}
            yield self._record(fact, "preferences", fact.user_id, value)

    @_write.register
    def _chose(self, fact: Chose) -> Iterator[Record | Visit]:
        if fact.by_mail:
            (kind,) = fact.preferences["unsubscribe"]
            yield Visit(UNSUBSCRIBE, fact.user_id, kind)
        else:
            value = {"user_id": fact.user_id, **fact.preferences}
            yield self._record(fact, "preferences", fact.user_id, value)

    @_write.register
    def _left(self, fact: Left) -> Iterator[Record | Visit]:
        yield Record("users", fact.user_id, None, self.moment(fact.step))

    @_write.register
    def _noted(self, fact: Noted) -> Iterator[Record | Visit]:
        value = {"user_id": fact.user_id, "body": fact.body}
        if fact.times == 1:
            yield self._record(fact, "activity", fact.user_id, value)
            return
        for number in range(fact.times):
            named = {"event_id": f"e{self.number:06d}-{number}", "group": "answers"}
            yield self._record(fact, "activity", fact.user_id, value | named, named=False)

    @_write.register
    def _wrote(self, fact: Wrote) -> Iterator[Record | Visit]:
        value = {
            "subject": fact.subject,
            "text": f"{fact.subject}. More at the box office.",
            "body": f"<h1>{fact.subject}</h1><p>More at the <b>box office</b>.</p>",
            "to": list(fact.addresses),
        }
        yield self._record(fact, "letters", None, value)

    @_write.register
    def _reminded(self, fact: Reminded) -> Iterator[Record | Visit]:
        value = {"event": "send_reminder", "users": list(fact.users)}
        yield self._record(fact, "weekly_reminder", None, value)

    @_write.register
    def _announced(self, fact: Announced) -> Iterator[Record | Visit]:
        value = {
            "campaign_id": fact.campaign_id,
            "kind": "tip",
            "local_at": fact.local_at.isoformat(),
            "audience": {"locale": fact.locale},
        }
        yield self._record(fact, "campaigns", fact.campaign_id, value)
