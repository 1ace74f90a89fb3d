"""How what is said to a person becomes due: at once, or when the hour is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from dev.cinema.almanac import PUNCTUAL, STEP, Span
from dev.cinema.dues import EMAIL, EXPIRES, WAITS, Due, Held, Standing


class Saying:
    """Enters what is due to one person; `step` is set by whoever lives the person's life."""

    def __init__(self, span: Span, standing: Standing) -> None:
        self.span = span
        self.now = standing
        self.step = 0
        self.dues: list[Due] = []
        self._held: list[Held] = []
        #: What was let go in the step before: it may as well have happened in this one.
        self._just_released: list[Due] = []

    def say(self, kind: str, occasion: str, when: datetime, due: datetime | None = None) -> bool:
        """Enter what is due over each channel; tell whether there is anything."""
        now = self.now
        expires = (due or when) + EXPIRES[kind] if kind in EXPIRES else None
        if now.refuses(kind, when) or (expires is not None and expires <= when):
            return False
        channels = now.over(kind)
        for channel in channels:
            opening = now.opens(when) if kind in WAITS and channel == EMAIL else when
            if opening > when:
                assert expires is not None
                self._held.append(Held(kind, occasion, opening, expires))
                continue
            # It may be said some ticks later, when the window has closed.
            then = when + PUNCTUAL
            late = channel == EMAIL and kind in WAITS and now.opens(then) > then
            self._enter(kind, occasion, channel, self._latest(when) if late else self.step)
        return bool(channels)

    def release(self) -> None:
        """Decide again what has waited for its hour and comes to it in this step."""
        waiting, self._held = self._held, []
        for held in waiting:
            opening = self.now.opens(held.opening)
            if self.span.step_of(held.opening) > self.step:
                self._held.append(held)
            elif opening > held.opening:
                self._held.append(replace(held, opening=opening))
            elif self._wants(held.kind, opening) and opening < held.expires:
                due = self._enter(held.kind, held.occasion, EMAIL, self._latest(opening))
                self._just_released.append(due)

    def doubt(self) -> None:
        """Where a person refuses now what was let go in the last step, either order is right."""
        for due in self._just_released:
            if not self._wants(due.kind, self.span.start(self.step)):
                self.dues[self.dues.index(due)] = replace(due, sure=False)
        self._just_released.clear()

    def _wants(self, kind: str, when: datetime) -> bool:
        return not self.now.refuses(kind, when) and EMAIL in self.now.over(kind)

    def _latest(self, opening: datetime) -> int:
        """Return the last step for what is let go at that time: by a later tick if it is missed."""
        return self.span.step_of(self.now.opens(opening + STEP)) + 1

    def _enter(self, kind: str, occasion: str, channel: str, last: int) -> Due:
        now, sure = self.now, last < self.span.steps
        due = Due(now.user_id, now.address, kind, occasion, channel, self.step, last, sure)
        self.dues.append(due)
        return due
