"""The campaigns, and when each is next due in each zone that users of the partition are in."""

from __future__ import annotations

from datetime import datetime

import msgspec

from streams.events import Campaign
from tables.view import View


class ScheduleRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A campaign, and since when (clock's time) it stands in this form."""

    campaign: Campaign
    since: datetime
    at: float


class Schedules(View[ScheduleRow]):
    """Campaigns by id."""

    name = "schedules"
    row = ScheduleRow

    def __init__(self) -> None:
        super().__init__()
        #: Raised by one whenever a campaign changes: what is computed from them is then stale.
        self.version = 0

    def index(self, key: str, old: ScheduleRow | None, new: ScheduleRow | None) -> None:
        self.version += 1
