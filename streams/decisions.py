"""What an agent is, what it decides, and how a notification becomes a job for each channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from streams import jobs, kinds
from streams.fields import zone
from streams.jobs import Cause, Delivery, Erase, Job
from streams.kinds import EMAIL, Kind
from streams.settings import Settings
from streams.topics import Topic
from streams.windows import opens, spread

if TYPE_CHECKING:
    from tables.partition import Tables
    from tables.person import UserRow

Decision = Job | Delivery | Erase


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """How and when a record came.

    `at` is the record's own time, `now` the partition's: its last tick, or the record's time before
    the first. `identity` tells this event from every other of its topic.
    """

    cause: Cause
    at: datetime
    now: datetime
    identity: str
    partition: int
    settings: Settings


class Decide(Protocol):
    """A decision about one person: what a record means for them; it may change tables."""

    def __call__(
        self, event: Any, user: UserRow, tables: Tables, arrival: Arrival
    ) -> Iterator[Decision]: ...


class DecideHere(Protocol):
    """A decision about a whole partition. `event` is None for a tombstone of that key."""

    def __call__(
        self, event: Any, key: str | None, tables: Tables, arrival: Arrival
    ) -> Iterator[Decision]: ...


@dataclass(frozen=True, slots=True)
class Agent:
    """What is done with the records of a topic: for each person they name, or once a partition.

    A person's agent whose record names no one is a trigger: it is asked for everyone, by a walk.
    `erases` makes a tombstone of the topic erase the person.
    """

    topic: Topic
    person: Decide | None = None
    partition: DecideHere | None = None
    erases: bool = False


def person_agent(topic: Topic, *, erases: bool = False) -> Callable[[Decide], Agent]:
    """Make a decision about one person the agent of a topic."""
    return lambda decide: Agent(topic, person=decide, erases=erases)


def partition_agent(topic: Topic) -> Callable[[DecideHere], Agent]:
    """Make a decision about a partition the agent of a topic."""
    return lambda decide: Agent(topic, partition=decide)


def skip(user: UserRow, kind: Kind, reason: str, arrival: Arrival) -> Delivery:
    """Decide against a notification, with the reason.

    Its id comes from the event, not from the occasion: what was not said may still be said.
    """
    return Delivery(
        job_id=jobs.job_id(
            user.occasion(f"skip\x1f{arrival.identity}"), kind.name, user.user_id, ""
        ),
        user_id=user.user_id,
        channel="",
        kind=kind.name,
        status="skipped",
        reason=reason,
        attempt=0,
        at=arrival.now,
        cause=arrival.cause,
    )


def refusal(user: UserRow, kind: Kind, now: datetime) -> str | None:
    """Return why this kind is not sent to this person at all, None if it may be."""
    choices = user.choices
    if kind is kinds.WELCOME:
        return None
    if choices.taboo:
        return "taboo"
    if choices.pause_until is not None and now < choices.pause_until and kind.unsubscribable:
        return f"paused until {choices.pause_until.isoformat()}"
    if kind.unsubscribable and kind.name in choices.unsubscribed:
        return "unsubscribed"
    return None


def notify(
    user: UserRow,
    kind: Kind,
    occasion: str,
    context: dict[str, Any],
    arrival: Arrival,
    *,
    due: datetime | None = None,
    template: str | None = None,
) -> Iterator[Decision]:
    """Yield a job for each channel, or one skip with its reason.

    `due` is when it was to be said (now, where nothing says otherwise): expiry counts from it.
    """
    now, settings = arrival.now, arrival.settings
    due = due or now
    expires_at = due + kind.expires if kind.expires else None
    reason = refusal(user, kind, now)
    if reason is None and expires_at is not None and expires_at <= now:
        reason = f"stale: it was due at {due.isoformat()}"
    channels = user.channels(kind)
    if not user.email:
        reason = reason or (None if channels != (EMAIL,) else "no address known")
        channels = tuple(channel for channel in channels if channel != EMAIL)
    if reason is None and not channels:
        reason = "no channel chosen"
    if reason is not None:
        yield skip(user, kind, reason, arrival)
        return
    occasion = user.occasion(occasion)
    for channel in channels:
        job = Job(
            job_id=jobs.job_id(occasion, kind.name, user.user_id, channel),
            user_id=user.user_id,
            channel=channel,
            kind=kind.name,
            template=template or kind.template,
            locale=user.locale(settings.default_locale),
            timezone=user.timezone(settings.default_timezone),
            to=(user.email or "") if channel == EMAIL else user.user_id,
            context=context,
            created_at=now,
            expires_at=expires_at,
            attempt=0,
            cause=arrival.cause,
        )
        yield wait(job, user, now, settings)


def wait(job: Job, user: UserRow, now: datetime, settings: Settings) -> Job:
    """Return the job, with `not_before` if it has to wait for the window or the quiet hours."""
    if job.channel != EMAIL or not kinds.KINDS[job.kind].waits:
        return job
    place = zone(user.timezone(settings.default_timezone))
    when = opens(now, place, settings.delivery_window, user.quiet_hours)
    if when <= now:
        return job
    later = when + spread(job.job_id)
    # A window may be shorter than the spread: then all go as it opens.
    if opens(later, place, settings.delivery_window, user.quiet_hours) > later:
        later = when
    return msgspec.structs.replace(job, not_before=later)
