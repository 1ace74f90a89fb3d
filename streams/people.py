"""What the pages want to know of one person; nothing here changes any table."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import msgspec

from agents.reminders import selection, tip, week_of
from agents.statistics import month_context, month_report
from streams import kinds, topics
from streams.decisions import refusal
from streams.errors import NotKept, Recovering
from streams.faust_app import CinemaApp
from streams.fields import zone
from streams.kinds import KINDS
from streams.lookups import shown_at
from streams.partitions import partition_of
from streams.state import State
from tables.months import month_before, month_of, not_kept, oldest_month
from tables.partition import Tables
from tables.person import UserRow


class People:
    """Looks people up in this worker's partitions.

    Every method raises Recovering while not all of it is known here.
    """

    def __init__(self, app: CinemaApp, state: State, films: asyncio.Event) -> None:
        """Look into that state, as far as the app has its partitions; `films`: all are read."""
        self._app = app
        self._settings = app.cinema
        self._state = state
        self._films = films

    def owner_url(self, user_id: str) -> str | None:
        """Return the worker that has the person's partition, None where it is this one."""
        partition = partition_of(user_id, self._settings.partitions)
        if partition in self._app.owned(topics.USERS):
            return None
        url = self._app.owner(self._state.changelog, partition)
        if url is None or url == str(self._app.conf.canonical_url).rstrip("/"):
            raise Recovering(f"nobody has partition {partition} yet: ask again")
        return url

    def statistics(self, user_id: str, month: str | None) -> dict[str, Any]:
        """Return a person's month as the contract has it; NotKept for one of long ago."""
        tables, user = self._with_films(user_id)
        default = self._settings.default_timezone
        timezone = user.timezone(default)
        now = shown_at(tables)
        month = month or month_of(now.astimezone(zone(timezone)))
        if month < oldest_month(month_of(now)):
            raise NotKept(not_kept(month))
        report = month_report(user, month, tables, default)
        return {
            "user_id": user_id,
            "month": month,
            "timezone": timezone,
            "films": report.films,
            "seconds": report.seconds,
            "genres": [genre._asdict() for genre in report.genres],
            "top_genre": report.top_genre,
            "streak": report.streak,
            "reported": user.said("monthly_statistic", month),
            "late": user.late.get(month, 0),
        }

    def preferences(self, user_id: str) -> dict[str, Any]:
        """Return what holds for a person now: their own choices over the profile.

        `unsubscribed` has the kinds that were left, each with the reason that was given or None.
        """
        tables, user = self._here(user_id)
        choices, until = user.choices, user.choices.pause_until
        return {
            "user_id": user_id,
            "locale": user.locale(self._settings.default_locale),
            "timezone": user.timezone(self._settings.default_timezone),
            "quiet_hours": msgspec.to_builtins(user.quiet_hours),
            "channels": {kind.name: list(user.channels(kind)) for kind in KINDS.values()},
            "unsubscribed": {kind: choices.reasons.get(kind) for kind in choices.unsubscribed},
            "pause_until": until.isoformat() if until and until > shown_at(tables) else None,
            "taboo": choices.taboo,
        }

    def preview(self, user_id: str, template: str) -> dict[str, Any]:
        """Return with what a person's mail of that template would be written now.

        `context` has what follows from the tables, and not what an event would bring; `refusal` is
        why nothing would be sent, or None.
        """
        tables, user = self._with_films(user_id)
        now, settings = shown_at(tables), self._settings
        timezone = user.timezone(settings.default_timezone)
        today = now.astimezone(zone(timezone)).date()
        kind = next((one for one in KINDS.values() if one.template == template), kinds.TIP)
        context = self._context(kind, user, tables, today)
        nothing = "films" in context and not context["films"]
        return {
            "user_id": user_id,
            "to": user.email,
            "locale": user.locale(settings.default_locale),
            "timezone": timezone,
            "now": now.isoformat(),
            "context": {"username": user.username, **context},
            "refusal": refusal(user, kind, now)
            or (None if user.email else "no address known")
            or ("there is nothing to tell" if nothing else None),
        }

    def _context(
        self, kind: kinds.Kind, user: UserRow, tables: Tables, today: date
    ) -> dict[str, Any]:
        if kind is kinds.WEEKLY_REMINDER:
            return {"week": week_of(today), "films": selection(user.user_id, today, tables)}
        if kind is kinds.MONTHLY_STATISTIC:
            month = month_before(f"{today:%Y-%m}")
            oldest = oldest_month(month_of(shown_at(tables)))
            return month_context(user, month, tables, oldest, self._settings.default_timezone)
        if kind is kinds.TIP:
            return {"film": tip(user.user_id, None, today, tables)}
        return {}

    def _here(self, user_id: str) -> tuple[Tables, UserRow]:
        partition = partition_of(user_id, self._settings.partitions)
        if not self._app.recovered() or partition not in self._app.owned(topics.USERS):
            raise Recovering(f"the tables of partition {partition} are not complete: ask again")
        tables = self._state.tables(partition)
        return tables, tables.users.of(user_id)

    def _with_films(self, user_id: str) -> tuple[Tables, UserRow]:
        if not self._films.is_set():
            raise Recovering("the films are not read yet: ask again")
        return self._here(user_id)
