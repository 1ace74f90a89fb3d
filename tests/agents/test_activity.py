"""The inbox and letters."""

from __future__ import annotations

from datetime import timedelta

from streams.fields import user_of
from tests.agents.conftest import Desk, jobs, reasons

LETTER = {"subject": "News", "text": "{{ 7 * 7 }}", "body": "<b>hello</b>", "to": "ann@example.org"}


def test_activity_goes_to_the_inbox_unchanged_also_of_someone_unknown(desk: Desk) -> None:
    body = "<i>Ann</i> likes your review\r\n"
    (job,) = jobs(desk.send("activity", user_id="eve", body=body))
    assert (job.channel, job.to, job.kind) == ("websocket", "eve", "activity")
    assert job.context == {"body": body}
    assert job.expires_at is None


def test_two_alike_are_two(desk: Desk) -> None:
    one = jobs(desk.send("activity", user_id="eve", body="hello"))
    two = jobs(desk.send("activity", user_id="eve", body="hello"))
    assert one[0].job_id != two[0].job_id


def test_the_same_event_gives_the_same_job(desk: Desk) -> None:
    one = jobs(desk.send("activity", user_id="eve", body="hello", event_id="e"))
    two = jobs(desk.send("activity", user_id="eve", body="hello", event_id="e"))
    assert one[0].job_id == two[0].job_id


def test_who_has_unsubscribed_from_activity_is_skipped(desk: Desk) -> None:
    desk.send("preferences", user_id="eve", unsubscribe=["activity"])
    assert reasons(desk.send("activity", user_id="eve", body="hello")) == ["unsubscribed"]


def test_a_letter_goes_as_it_was_written_to_each_address(desk: Desk) -> None:
    found = jobs(desk.send("letters", **{**LETTER, "to": ["ann@example.org", "Bob@example.org"]}))
    assert [job.to for job in found] == ["ann@example.org", "Bob@example.org"]
    assert [job.user_id for job in found] == [user_of(job.to) for job in found]
    assert found[0].template == "mail"
    assert found[0].context == {
        "subject": "News",
        "text": "{{ 7 * 7 }}",
        "body": "<b>hello</b>",
    }


def test_the_same_letter_to_the_same_address_within_a_day_is_skipped(desk: Desk) -> None:
    start = desk.now
    assert len(jobs(desk.send("letters", **LETTER))) == 1
    desk.now = start + timedelta(hours=23, minutes=59)
    upper = {**LETTER, "to": "ANN@example.org"}
    assert reasons(desk.send("letters", **upper)) == ["the same letter within 24 h"]
    assert len(jobs(desk.send("letters", **{**LETTER, "subject": "Other"}))) == 1
    desk.now = start + timedelta(hours=24)
    assert len(jobs(desk.send("letters", **LETTER))) == 1


def test_texts_that_run_together_are_not_the_same_letter(desk: Desk) -> None:
    desk.send("letters", subject="a", text="b\x1fc", body="d", to="ann@example.org")
    found = desk.send("letters", subject="a", text="b", body="c\x1fd", to="ann@example.org")
    assert len(jobs(found)) == 1


def test_a_letter_that_was_skipped_may_be_sent_that_day(desk: Desk) -> None:
    user_id = user_of("ann@example.org")
    desk.send("preferences", user_id=user_id, taboo=True)
    assert reasons(desk.send("letters", **LETTER)) == ["taboo"]
    desk.send("preferences", user_id=user_id, taboo=False)
    assert len(jobs(desk.send("letters", **LETTER))) == 1


def test_a_letter_is_framed_in_the_readers_language(desk: Desk) -> None:
    desk.send("users", user_id=user_of("ann@example.org"), email="ann@example.org", locale="ru")
    (job,) = jobs(desk.send("letters", **LETTER))
    assert job.locale == "ru"
