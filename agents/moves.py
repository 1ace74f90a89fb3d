"""Moves: what campaigns say to whoever has changed time zones between two firings."""

from __future__ import annotations

from collections.abc import Iterator

from agents.campaigns import campaigns, come_to, fire, firing, was_there
from streams.cron import last_before
from streams.decisions import Arrival, Decision
from streams.fields import zone
from tables.partition import Tables
from tables.person import UserRow


def catch_up(
    before: UserRow, after: UserRow, tables: Tables, arrival: Arrival
) -> Iterator[Decision]:
    """Say at once what a move to another zone would drop.

    That is what the old zone's walks have not come to and the new zone has passed, too; and, moving
    east past local times that the old zone had not reached, the new zone's latest occurrence unless
    it is stale (its kind's expiry). Moving west comes to the same local times again, in their turn.
    """
    default = arrival.settings.default_timezone
    old, new = before.timezone(default), after.timezone(default)
    if old == new or before.known_since is None:
        return
    missed = [row for row in tables.walks.of_zone(old) if row.cursor < after.user_id]
    for name, campaign in campaigns(tables).items():
        here = last_before(campaign, zone(new), arrival.now) if campaign.enabled else None
        if here is None:
            continue
        for walk in missed:
            occurrence = walk.occurrence or ""
            if walk.campaign == name and occurrence <= here.local and was_there(before, walk.as_of):
                user = tables.users.of(after.user_id)
                occasion = firing(arrival, name, occurrence)
                yield from come_to(user, walk, campaign, tables, occasion)
        there = last_before(campaign, zone(old), arrival.now)
        if there is not None and here.local <= there.local:
            # Said in the old zone, or just now; or to be said when the new one comes to it.
            continue
        row = tables.schedules.get(name)
        if not was_there(before, here.instant) or (row is not None and here.instant <= row.since):
            # Nobody was there to be told, or to tell it; a first zone that comes after a
            # registration is no move.
            continue
        user = tables.users.of(after.user_id)
        occasion = firing(arrival, name, here.local)
        yield from fire(campaign, user, here.local, here.instant, tables, occasion)
