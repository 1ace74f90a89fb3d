from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from dev.cinema import audit
from dev.cinema.accidents import Expected
from dev.cinema.almanac import Span
from dev.cinema.book import Book
from dev.cinema.facts import Bookmarked, Confirmed, Joined, Noted, Released
from dev.cinema.gauges import Gauges
from dev.cinema.people import Person
from dev.cinema.report import Check, equations, notifications, show
from dev.cinema.script import Story
from dev.cinema.seen import Seen
from dev.cinema.statistics import Month, Report
from dev.cinema.tail import Entry

BEGIN = datetime(2026, 9, 28, tzinfo=UTC)
ANN = Person("ann", "Ann@mail.example", "Ann", "en", "UTC", "full")


@pytest.fixture
def book() -> Book:
    facts = (
        Joined(step=1, user_id="ann"),
        Bookmarked(step=1, user_id="ann", series_id="les-vampires", added=True),
        Confirmed(step=2, user_id="ann"),
        Released(step=6, series_id="les-vampires", episode=3),
        Noted(step=7, user_id="ann", body="Hi"),
    )
    span = Span(BEGIN, BEGIN + timedelta(days=3))
    return Book(Story(span, {"ann": ANN}, facts, (), Expected()))


class Service:
    """Says what a service would say, and puts mails into a mailbox."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.mails: list[dict[str, Any]] = []

    def say(self, topic: str, key: str, **value: Any) -> None:
        self.seen.hear(Entry(topic, 0, 0, key.encode(), msgspec.json.encode(value)))

    def send(self, job_id: str, kind: str, channel: str, step: int, **context: Any) -> None:
        self.seen.step = step
        to = ANN.email if channel == "email" else "ann"
        job = {"job_id": job_id, "user_id": "ann", "channel": channel, "kind": kind}
        self.say("outbox", "ann", **job, locale="en", to=to, context=context)
        self.say("deliveries", "ann", **job, status="sent", reason="")
        if channel == "email":
            to_field = [{"Name": "", "Address": ANN.email.lower()}]
            self.mails.append({"MessageID": f"{job_id}@x", "To": to_field, "Subject": kind})
        else:
            entry = {"id": 100 + step, "job_id": job_id, "kind": kind, "body": ""}
            self.say("inbox", "ann", **entry)

    def send_all(self) -> None:
        episode = {"serial_name": "Les Vampires", "episode": 3}
        self.send("w", "welcome", "email", 1)
        self.send("e1", "episode", "email", 6, **episode)
        self.send("e2", "episode", "websocket", 6, **episode)
        self.send("a", "activity", "websocket", 7, body="Hi")

    @property
    def postbox(self) -> Any:
        return self

    def mailbox_faults(self, book: Book) -> list[str]:
        return list(audit.mails(book, self.seen, self.postbox))


def test_nothing_is_wrong_when_all_that_is_due_came(book: Book) -> None:
    service = Service()
    service.send_all()
    assert service.mailbox_faults(book) == []
    assert list(audit.inboxes(book, service.seen)) == []


def test_a_mail_that_is_missing_is_named(book: Book) -> None:
    service = Service()
    service.send("w", "welcome", "email", 1)
    assert service.mailbox_faults(book) == [
        "ann: episode 'les-vampires/3': mail missing (due in step 6)"
    ]


def test_a_mail_that_nobody_was_due_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    service.send("x", "weekly_reminder", "email", 8, week="2026-W40")
    (fault,) = service.mailbox_faults(book)
    assert fault == "ann: weekly_reminder '2026-W40': 1 mail too many (steps [8])"


def test_a_mail_that_came_twice_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    service.mails.append(service.mails[0])
    assert any("came 2 times" in fault for fault in service.mailbox_faults(book))


def test_a_mail_at_the_wrong_time_is_named(book: Book) -> None:
    service = Service()
    service.send("w", "welcome", "email", 5)
    assert "ann: welcome '': mail came in step 5, due in 1 to 1" in service.mailbox_faults(book)


def test_a_mail_to_the_wrong_address_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    service.mails[0]["To"][0]["Address"] = "bob@mail.example"
    assert service.mailbox_faults(book) == ["ann: welcome '' went to bob@mail.example"]


def test_a_mail_in_the_wrong_language_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    service.mails[1]["Subject"] = "Новая серия"
    assert service.mailbox_faults(book) == ["ann: episode 'les-vampires/3' is in ru"]


def test_a_mail_that_is_not_said_to_be_sent_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    del service.seen.statuses["w"]
    assert any("is not said to be sent" in fault for fault in service.mailbox_faults(book))


def test_an_inbox_whose_ids_do_not_rise_is_named(book: Book) -> None:
    service = Service()
    service.send_all()
    service.seen.inbox.reverse()
    assert any("does not rise" in fault for fault in audit.inboxes(book, service.seen))


NUMBERS: dict[str, Any] = {
    "month": "2026-09",
    "films": 2,
    "seconds": 9,
    "genres": [{"genre": "Drama", "films": 1, "seconds": 4}],
    "top_genre": "Drama",
    "streak": 2,
    "previous": {"month": "2026-08", "films": 1, "seconds": 8},
}


def test_a_monthly_mail_with_other_numbers_is_named(book: Book) -> None:
    service = Service()
    service.send("m", "monthly_statistic", "email", 12, **NUMBERS | {"previous": None})
    (fault,) = audit.reports(book, service.seen)
    said = "(2, 9, (('Drama', 1, 4),), 'Drama', 2, None)"
    assert f"the mail for 2026-09 says {said}, not None" in fault


@pytest.mark.parametrize(
    "wrong", [{"streak": 3}, {"genres": []}, {"previous": {"films": 1, "seconds": 9}}]
)
def test_a_monthly_mail_is_held_against_the_book_in_all_it_says(
    book: Book, wrong: dict[str, Any]
) -> None:
    this = Month(2, 9, (("Drama", 1, 4),), 2)
    book.reports["ann", "2026-09"] = Report(this, Month(1, 8, (), 1))
    service = Service()
    service.send("m", "monthly_statistic", "email", 12, **NUMBERS)
    assert list(audit.reports(book, service.seen)) == []
    service.send("n", "monthly_statistic", "email", 12, **NUMBERS | wrong)
    assert len(list(audit.reports(book, service.seen))) == 1


def test_accidents_that_end_otherwise_are_named(book: Book) -> None:
    book.story.expected.dead["users"] = 1
    book.story.expected.duplicate["watch_history"] = 2
    page = 'cinema_records{topic="watch_history",outcome="duplicate",partition="3"} 1.0\n'
    faults = list(audit.accidents(book, Seen(), Gauges([page])))
    assert faults == [
        "users: 0 dead letters, not 1",
        "watch_history: 1 duplicate, not 2",
        "ann: confirmed 0 times, not 1",
    ]


def test_gauges_are_read_and_summed_over_workers() -> None:
    page = '# HELP cinema_x text\ncinema_x{a="1",b="q\\"}"} 2.0\ncinema_y 3\nother{a="1"} 9\n'
    found = Gauges([page, 'cinema_x{a="1",b="z"} 5.0\n'])
    assert found.total("cinema_x") == 7
    assert found.total("cinema_x", b="z") == 5
    assert found.total("cinema_y") == 3
    assert found.total("cinema_z") == 0


def test_the_second_equation_counts_what_has_no_delivery_yet_as_queued() -> None:
    service = Service()
    service.send_all()
    del service.seen.statuses["e1"]
    pages = [
        'cinema_job_ids{kind="episode"} 2\ncinema_deliveries{kind="episode",status="sent"} 1\n'
    ]
    sums = {one.name: one for one in notifications(Gauges(pages), service.seen)}
    assert sums["episode"].parts == (1, 0, 0, 0, 0, 1)
    assert sums["episode"].holds
    assert not sums["welcome"].holds


def test_an_equation_that_does_not_hold_is_shown() -> None:
    service = Service()
    service.send_all()
    checks = list(equations(Gauges(()), service.seen))
    assert checks[0].wrong == ()
    assert any("welcome: 0 counted, 1 seen" in line for line in checks[1].wrong)
    text = StringIO()
    console = Console(file=text, width=100)
    show(console, Gauges(()), service.seen, [*checks, Check("many", "", ("wrong",) * 30)])
    assert "job ids = statuses: welcome: 0 counted, 1 seen" in text.getvalue()
    assert "many: 10 more" in text.getvalue()
