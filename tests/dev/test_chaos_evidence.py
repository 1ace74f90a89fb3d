"""What is read from topics and logs, and whether the workers' own numbers agree with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from dev.chaos.evidence import Evidence, InboxEntry, Turn
from dev.chaos.maillog import NAME, Line
from dev.chaos.numbers import equations
from dev.chaos.wants import Place
from dev.chaos.witnesses import read_logs
from dev.cinema.gauges import Gauges
from dev.cinema.tail import Entry as Record
from streams.jobs import Cause, Delivery, InboxRead, Job, encode
from streams.jobs import InboxEntry as Entered

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
JOB = "0f" * 16
MARK = "zql0000002z"


def job(**changes: Any) -> Job:
    """Return a letter to Ann."""
    made = Job(
        job_id=JOB,
        user_id="ann",
        channel="email",
        kind="letter",
        template="mail",
        locale="en",
        timezone="UTC",
        to="ann@example.com",
        context={"subject": f"A letter {MARK}"},
        created_at=AT,
        expires_at=None,
        attempt=0,
        cause=Cause("letters", 0, 7),
    )
    return msgspec.structs.replace(made, **changes)


def heard(*said: tuple[str, Any]) -> Evidence:
    """Return what is known after those values on those topics."""
    evidence = Evidence()
    for offset, (topic, value) in enumerate(said):
        evidence.hear(Record(topic, 0, offset, b"ann", encode(value)))
    return evidence


def page(jobs: int = 1, sent: int = 1, applied: int = 0) -> Gauges:
    """Return what the workers' pages say of one letter."""
    return Gauges(
        [
            f'cinema_job_ids{{kind="letter",partition="0"}} {jobs}.0\n'
            f'cinema_deliveries{{kind="letter",status="sent"}} {sent}.0\n'
            f'cinema_records{{topic="letters",outcome="decided",partition="0"}} {applied}.0\n'
        ]
    )


def test_a_job_is_known_by_its_last_attempt_wherever_it_was_seen_first() -> None:
    later = job(attempt=2, not_before=AT + timedelta(seconds=5))
    evidence = heard(("outbox_urgent", job()), ("held", later), ("outbox_urgent", job(attempt=1)))
    (found,) = evidence.jobs.values()
    assert (found.attempt, found.not_before, found.mark) == (2, later.not_before, MARK)


def test_an_entry_counts_and_what_was_read_does_not() -> None:
    entry = Entered(
        id=5,
        job_id=JOB,
        kind="activity",
        title="News",
        body="zqa0000003z: hello",
        url="",
        created_at=AT,
    )
    evidence = heard(("inbox", entry), ("inbox", InboxRead([5])))
    assert evidence.inbox == [InboxEntry("ann", 5, JOB, "zqa0000003z")]


def test_logs_tell_what_was_fetched_again_and_what_was_maybe_sent(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(msgspec.json.encode(Line(1.0, "taken", message_id=JOB)) + b"\n")
    (tmp_path / "streams-0.log").write_text(
        "TP(topic='users', partition=1): records from offset 3 were lost on the way: again\n" * 2
    )
    (tmp_path / "sender-1.log").write_text(f"job {JOB}: maybe sent before, sent again\n")
    evidence = Evidence()
    read_logs(evidence, tmp_path)
    assert [one.message_id for one in evidence.mails] == [JOB]
    assert (evidence.refetched, evidence.declared) == (2, {JOB})


def test_the_equations_hold_for_what_was_counted_right_and_for_nothing_else() -> None:
    sent = job().delivery("sent", "250 Ok", AT)
    evidence = heard(("outbox_urgent", job()), ("deliveries", sent))
    assert list(equations(page(), evidence)) == []
    for wrong in (page(jobs=2), page(sent=0), page(applied=1)):
        assert [one.what for one in equations(wrong, evidence)] == ["numbers"]


def test_the_latest_word_counts_and_a_final_one_stays() -> None:
    said: list[Delivery] = [
        job().delivery("retrying", "451", AT),
        job().delivery("sent", "250 Ok", AT),
        job().delivery("retrying", "451", AT),
    ]
    evidence = heard(("outbox_urgent", job()), *(("deliveries", one) for one in said))
    assert list(equations(page(), evidence)) == []


def test_a_lanes_order_is_that_of_first_occurrences_of_what_was_not_sent_on() -> None:
    def letter(number: int, partition: int = 0) -> tuple[str, Any]:
        return "outbox_urgent", job(job_id=f"j{number}", cause=Cause("letters", partition, number))

    evidence = heard(letter(7), letter(9), letter(8, partition=1), letter(7), letter(12))
    evidence.hear(Record("held", 0, 9, b"ann", encode(letter(3)[1])))
    came = [Place("letters", 0, offset) for offset in (7, 9, 12)]
    assert evidence.turns == {Turn("outbox_urgent", "ann", "letters"): came}
