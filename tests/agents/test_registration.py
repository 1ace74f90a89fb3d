"""Greetings."""

from __future__ import annotations

from streams.fields import user_of
from tests.agents.conftest import NOON, Desk, jobs, reasons

ANN = {"event": "send_greeting", "email": "ann@example.org", "username": "Ann", "user_id": "ann"}


def test_whoever_registers_is_greeted_once(desk: Desk) -> None:
    (job,) = jobs(desk.send("registration", **ANN, redirect_url="https://c.example/in"))
    assert (job.kind, job.channel, job.to, job.user_id) == (
        "welcome",
        "email",
        "ann@example.org",
        "ann",
    )
    assert job.context == {"username": "Ann", "redirect": "https://c.example/in"}
    assert job.expires_at is None
    assert reasons(desk.send("registration", **ANN)) == ["greeted already"]


def test_two_registrations_of_one_person_make_the_same_job(desk: Desk) -> None:
    one, two = Desk(), Desk()
    two.send("activity", user_id="ann", body="moves offsets on")
    (first,) = jobs(one.send("registration", **ANN))
    (second,) = jobs(two.send("registration", **ANN))
    assert first.job_id == second.job_id


def test_an_older_producers_registration_is_about_the_address(desk: Desk) -> None:
    (job,) = jobs(
        desk.send("registration", link_out="https://c.example", link="-", user="Ann", email="a@b.c")
    )
    assert job.user_id == user_of("a@b.c")
    assert job.context == {"username": "Ann", "redirect": "https://c.example"}


def test_the_bare_trigger_greets_all_who_were_not_greeted_and_is_silent_about_others(
    cinema: Desk,
) -> None:
    cinema.send("registration", **ANN)
    decisions = cinema.send("registration", event="send_greeting")
    assert [job.user_id for job in jobs(decisions)] == ["bob"]
    assert reasons(decisions) == []
    assert cinema.send("registration", event="send_greeting") == []


def test_the_profile_wins_over_the_registration_whichever_came_first(desk: Desk) -> None:
    profile = {"user_id": "ann", "email": "new@example.org", "username": "Anna"}
    desk.send("users", **profile)
    (job,) = jobs(desk.send("registration", **ANN))
    assert (job.to, job.context["username"]) == ("new@example.org", "Anna")
    other = Desk()
    other.send("registration", **ANN)
    other.send("users", **profile)
    assert other.user("ann").email == "new@example.org"


def test_the_zone_of_a_registration_counts_in_whatever_order_the_records_come() -> None:
    desks = [Desk(), Desk()]
    records = [
        ("registration", {**ANN, "timezone": "Asia/Tokyo"}),
        ("users", {"user_id": "ann", "email": "ann@example.org", "timezone": "America/Lima"}),
    ]
    at = [desks[0].now, desks[0].now.replace(hour=13)]
    for desk, order in zip(desks, ((0, 1), (1, 0)), strict=True):
        for index in order:
            topic, value = records[index]
            desk.send(topic, at[index], **value)
    assert desks[0].user("ann").zones == desks[1].user("ann").zones
    assert desks[0].user("ann").timezone("UTC") == "America/Lima"


def test_a_person_who_wants_no_channel_is_not_marked_as_greeted(desk: Desk) -> None:
    desk.send("preferences", user_id="ann", channels={"welcome": []})
    assert reasons(desk.send("registration", **ANN)) == ["no channel chosen"]
    desk.send("preferences", user_id="ann", channels={"welcome": ["email"]})
    assert len(jobs(desk.send("registration", **ANN))) == 1


def test_even_who_wants_nothing_at_all_is_welcomed(desk: Desk) -> None:
    desk.send("preferences", user_id="ann", taboo=True)
    assert len(jobs(desk.send("registration", **ANN))) == 1


def test_an_unknown_locale_falls_back_to_the_default(desk: Desk) -> None:
    (job,) = jobs(desk.send("registration", **ANN, locale="tlh"))
    assert job.locale == "en"


def test_an_older_registration_that_comes_late_changes_nothing(desk: Desk) -> None:
    desk.send("registration", **ANN)
    desk.send(
        "registration",
        desk.now.replace(hour=1),
        **{**ANN, "email": "old@example.org"},
    )
    assert desk.user("ann").email == "ann@example.org"


EXPIRED = {
    "event": "send_greeting",
    "user_id": "ann",
    "email": "Ann@Example.org",
    "redirect_url": "https://c.example/a",
    "renews": "0" * 32,
}


def test_a_link_that_has_expired_is_renewed_once_with_a_job_of_its_own(desk: Desk) -> None:
    (first,) = jobs(desk.send("registration", **ANN))
    (new,) = jobs(desk.send("registration", **EXPIRED))
    assert (new.kind, new.to, new.user_id) == ("welcome", "ann@example.org", "ann")
    assert new.context == {"username": "Ann", "redirect": "https://c.example/a"}
    assert new.job_id != first.job_id
    assert reasons(desk.send("registration", **EXPIRED)) == ["renewed already"]
    (other,) = jobs(desk.send("registration", **EXPIRED | {"renews": "1" * 32}))
    assert other.job_id not in (first.job_id, new.job_id)


def test_an_address_that_was_confirmed_needs_no_new_link(desk: Desk) -> None:
    desk.send("registration", **ANN)
    desk.send("confirmations", user_id="ann", email="ann@example.org", at=NOON.isoformat())
    assert reasons(desk.send("registration", **EXPIRED)) == ["confirmed already"]


def test_a_link_to_an_address_of_before_is_not_renewed(desk: Desk) -> None:
    desk.send("registration", **ANN)
    desk.send("users", user_id="ann", email="new@example.org")
    assert reasons(desk.send("registration", **EXPIRED)) == ["another address by now"]


def test_nobody_is_made_known_by_a_renewal(desk: Desk) -> None:
    assert reasons(desk.send("registration", **EXPIRED)) == ["another address by now"]
    assert desk.user("ann").email is None
