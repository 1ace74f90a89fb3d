"""The verifier finds what is wrong: a true record of a small day, and one lie in it at a time."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from dev.chaos.accidents import Accident
from dev.chaos.book import Book
from dev.chaos.evidence import Delivery, Evidence, InboxEntry, Job, Turn
from dev.chaos.maillog import Line
from dev.chaos.repeats import in_flight, repeats
from dev.chaos.verifier import verify
from dev.chaos.wants import (
    Entry,
    Event,
    Listed,
    Mail,
    Place,
    Refused,
    Skipped,
    Told,
    Watched,
    Zone,
)

ANN, BOB = "ann@example.com", "bob@example.com"
GREETING, LETTER, NOTE, EPISODE = "zqp0000001z", "zql0000002z", "zqa0000003z", "zqs0000004z"
MONTH = "2026-10"
KINDS = {GREETING: "welcome", LETTER: "letter", NOTE: "activity", EPISODE: "episode"}
MONTHS = {
    "timezone": "Asia/Tokyo",
    "films": 1,
    "seconds": 150,
    "genres": [{"genre": "drama", "films": 1, "seconds": 150}],
    "top_genre": "drama",
}


class Day:
    """What was sent on a small day, and what can be seen of it: all of it as it should be."""

    def __init__(self) -> None:
        self.book, self.evidence = Book(addresses={"ann": ANN, "bob": BOB}), Evidence()
        self._offset = 0
        self.sent("registration", Mail(GREETING, ANN))
        self.sent("letters", Mail(LETTER, ANN), Mail(LETTER, BOB))
        self.sent("activity", Entry(NOTE, "ann"))
        self.sent("users", Zone("ann", "UTC", by_choice=False))
        self.sent("preferences", Zone("ann", "Asia/Tokyo", by_choice=True))
        for seconds in (100, 50):
            self.sent("watch_history", Watched("ann", MONTH, "film-0", seconds))
        self.sent("bookmarks", Listed("ann", "series", added=True, number=1))
        # Acknowledged in another order than sent.
        self.sent("bookmarks", Listed("bob", "series", added=False, number=3))
        self.sent("bookmarks", Listed("bob", "series", added=True, number=2))
        self.sent("episodes", Told(EPISODE, "series"))
        self.wrong = self.sent("activity", Refused())
        self.sent("registration", Skipped("ann", "welcome"))
        for mark, address in ((GREETING, ANN), (LETTER, ANN), (LETTER, BOB), (EPISODE, ANN)):
            self.mailed(mark, address, at=100.0)
        self.entered(NOTE, 11)
        self.entered(EPISODE, 12)
        self.evidence.frames["ann"] = [(11, NOTE), (12, EPISODE)]
        self.evidence.statistics["ann", MONTH] = deepcopy(MONTHS)
        self.evidence.letters[self.wrong] = ["missing field"]
        skip = Delivery("skip", "ann", "", "welcome", "skipped", "greeted already", 0)
        self.evidence.deliveries["skip"] = [skip]

    def sent(self, topic: str, *wants: Any, event_id: str | None = None) -> Place:
        """Send a record that wants that."""
        event = Event(topic=topic, value=b"{}", event_id=event_id, wants=wants)
        self._offset += 1
        self.book.acknowledged(event, 0, self._offset)
        return Place(topic, 0, self._offset)

    def mailed(self, mark: str, address: str, at: float, *, said: bool = True) -> str:
        """Let a mail come; return its job's id."""
        job_id = f"{mark}-{address[:3]}"
        self.job(job_id, mark, address, "email")
        self.evidence.deliveries[job_id] = [self.delivery(job_id, "sent", "250 Ok")]
        line = Line(at, "taken", address, said=said, message_id=job_id, marks=[mark])
        self.evidence.mails.append(line)
        return job_id

    def entered(self, mark: str, number: int) -> None:
        """Let an entry come into Ann's inbox."""
        job_id = f"{mark}-inbox"
        self.job(job_id, mark, "ann", "websocket")
        self.evidence.deliveries[job_id] = [self.delivery(job_id, "sent", "in the inbox")]
        self.evidence.inbox.append(InboxEntry("ann", number, job_id, mark))

    def job(self, job_id: str, mark: str, to: str, channel: str) -> None:
        """Let a job have been made."""
        job = Job(job_id, to[:3], channel, KINDS[mark], to, {}, mark=mark)
        self.evidence.jobs[job_id] = job

    def delivery(self, job_id: str, status: str, reason: str) -> Delivery:
        """Return what is said of a job."""
        job = self.evidence.jobs[job_id]
        return Delivery(job_id, job.user_id, job.channel, job.kind, status, reason, 0)

    def unsent(self, status: str, reason: str) -> None:
        """Let Bob's letter not have come, for that reason."""
        lose_a_mail(self)
        job_id = f"{LETTER}-bob"
        self.evidence.deliveries[job_id] = [self.delivery(job_id, status, reason)]

    def refuse(self, number: int, code: str, to: str = BOB) -> None:
        """Let the mail server have refused a mail."""
        self.evidence.mails.append(Line(90.0, "refused", to, number=number, code=code))

    def wrongs(self) -> list[str]:
        """Return what the verifier finds, by what it calls it."""
        return sorted(one.what for one in verify(self.book, self.evidence))


def test_nothing_is_wrong_with_a_true_record() -> None:
    assert Day().wrongs() == []


def lose_a_mail(day: Day) -> None:
    day.evidence.mails = [one for one in day.evidence.mails if one.to != BOB or one.number]


def lose_a_job(day: Day) -> None:
    lose_a_mail(day)
    del day.evidence.jobs[f"{LETTER}-bob"], day.evidence.deliveries[f"{LETTER}-bob"]


def lose_an_outcome(day: Day) -> None:
    del day.evidence.deliveries[f"{NOTE}-inbox"]


def lose_an_entry(day: Day) -> None:
    del day.evidence.inbox[0], day.evidence.frames["ann"][0]


def lose_a_dead_letter(day: Day) -> None:
    day.evidence.letters.clear()


def lose_a_skip(day: Day) -> None:
    del day.evidence.deliveries["skip"]


def send_again(day: Day) -> None:
    day.mailed(LETTER, BOB, at=200.0)


def send_as_another(day: Day) -> None:
    day.evidence.mails.append(Line(200.0, "taken", BOB, message_id="other", marks=[LETTER]))


def send_to_another(day: Day) -> None:
    day.evidence.mails.append(
        Line(200.0, "taken", "eve@example.com", message_id="m", marks=[LETTER])
    )


def enter_again(day: Day) -> None:
    day.evidence.inbox.append(InboxEntry("ann", 13, f"{NOTE}-inbox", NOTE))
    day.evidence.frames["ann"].append((13, NOTE))


def share_an_id(day: Day) -> None:
    entry = day.evidence.inbox[1]
    day.evidence.inbox[1] = entry._replace(id=11)
    day.evidence.frames.clear()


def leave_a_gap(day: Day) -> None:
    del day.evidence.frames["ann"][0]


def turn_round(day: Day) -> None:
    day.evidence.frames["ann"].reverse()


def miss_a_live_frame(day: Day) -> None:
    day.evidence.live["ann"] = [(11, NOTE)]


def say_the_later_first(day: Day) -> None:
    first, *later = (day.sent("letters") for _ in range(3))
    day.evidence.turns[Turn("outbox_urgent", "ann", "letters")] = [first, *reversed(later)]


def count_twice(day: Day) -> None:
    day.evidence.statistics["ann", MONTH]["seconds"] = 250


def stay_at_home(day: Day) -> None:
    day.evidence.statistics["ann", MONTH]["timezone"] = "UTC"


def answer_nothing(day: Day) -> None:
    day.evidence.statistics["ann", MONTH] = None


def refuse_the_right(day: Day) -> None:
    day.evidence.letters[day.sent("users")] = ["no"]


def skip_too_much(day: Day) -> None:
    skip = Delivery("other", "bob", "", "letter", "skipped", "the same letter", 0)
    day.evidence.deliveries["other"] = [skip]


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        (lose_a_mail, ["lost"]),
        (lose_a_job, ["lost"]),
        (lose_an_outcome, ["lost"]),
        (lose_an_entry, ["lost"]),
        (lose_a_dead_letter, ["lost"]),
        (lose_a_skip, ["lost"]),
        (send_again, ["twice"]),
        (send_as_another, ["twice"]),
        (send_to_another, ["unknown"]),
        (enter_again, ["inbox"]),
        (share_an_id, ["inbox"]),
        (leave_a_gap, ["inbox"]),
        (turn_round, ["inbox"]),
        (miss_a_live_frame, ["inbox"]),
        (say_the_later_first, ["order"]),
        (count_twice, ["statistics"]),
        (stay_at_home, ["statistics"]),
        (answer_nothing, ["statistics"]),
        (refuse_the_right, ["dead letters"]),
        (skip_too_much, ["unknown"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_lie_is_found(lie: Callable[[Day], None], found: list[str]) -> None:
    day = Day()
    lie(day)
    assert day.wrongs() == found


def test_two_episodes_that_are_told_to_followers_have_no_order() -> None:
    day = Day()
    first, second = (day.sent("episodes") for _ in range(2))
    day.evidence.turns[Turn("outbox", "ann", "episodes")] = [second, first]
    assert day.wrongs() == []


def test_a_letter_to_several_people_may_come_behind_those_that_follow_it() -> None:
    day = Day()
    before, after = (day.sent("letters") for _ in range(2))
    both = day.sent("letters", Mail(LETTER, ANN), Mail(LETTER, BOB))
    day.evidence.turns[Turn("outbox_urgent", "ann", "letters")] = [before, both, after]
    assert day.wrongs() == []


def test_a_mail_that_the_server_refused_for_good_is_not_lost() -> None:
    day = Day()
    day.refuse(5, "550 5.7.1")
    day.unsent("failed", "550 5.7.1 no. 5 (at RCPT)")
    assert day.wrongs() == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("failed", "550 5.7.1 no. 6 (at RCPT)"),
        ("failed", "451 4.3.0 no. 5 (at RCPT)"),
        ("failed", "error: KeyError"),
        ("failed", "550 5.7.1 no. 7 (at RCPT)"),
        ("skipped", "suppressed: 451 4.3.0 no. 5 (at RCPT)"),
        ("skipped", "unsubscribed"),
    ],
)
def test_a_refusal_that_the_server_never_gave_explains_nothing(status: str, reason: str) -> None:
    day = Day()
    day.refuse(5, "451 4.3.0")
    day.refuse(7, "550 5.7.1", to=ANN)
    day.unsent(status, reason)
    assert day.wrongs() == ["lost"]


def test_a_mail_to_an_address_that_the_server_does_not_know_may_be_skipped() -> None:
    day = Day()
    day.refuse(5, "550 5.1.1")
    day.unsent("skipped", "suppressed: 550 5.1.1 no. 5 (at RCPT)")
    assert day.wrongs() == []


@pytest.mark.parametrize(("ahead", "found"), [(5, []), (-5, ["lost", "lost"])])
def test_a_mail_may_be_late_while_its_next_try_is_ahead(ahead: float, found: list[str]) -> None:
    day = Day()
    day.unsent("retrying", "451 4.3.0 no. 5")
    job = day.evidence.jobs[f"{LETTER}-bob"]
    job.not_before = day.evidence.now + timedelta(seconds=ahead)
    assert day.wrongs() == found


def test_a_mail_whose_answer_never_came_may_come_again() -> None:
    day = Day()
    day.evidence.mails[2].said = False
    send_again(day)
    assert day.wrongs() == []
    assert [one.excuse for one in repeats(day.evidence)] == ["never answered"]


def kill(at: float, app: str = "sender", pid: int = 1) -> Accident:
    return Accident("kill", (app, 0), pid, at, at)


@pytest.mark.parametrize(
    ("accidents", "excused"),
    [
        ([kill(100.5)], True),
        ([kill(99.9)], True),
        ([kill(105.0)], False),
        ([kill(95.0)], False),
        ([kill(100.5, app="streams")], False),
        # A stop is no excuse for who goes on after it, and one for who was killed in it.
        ([Accident("stop", ("sender", 0), 1, 100.5, 110.0)], False),
        ([Accident("stop", ("sender", 0), 1, 100.5, 110.0), kill(108.0)], True),
        ([Accident("stop", ("sender", 0), 2, 100.5, 110.0), kill(108.0)], False),
        ([Accident("stop", ("sender", 0), 1, 100.5, 110.0), kill(120.0)], False),
        # Nothing is noted while Redis is away.
        ([Accident("outage", ("redis", None), 9, 99.0, 109.0), kill(108.0)], True),
        ([Accident("outage", ("broker", None), 9, 99.0, 109.0), kill(108.0)], False),
        # Who is asked to end has the time.
        ([Accident("end", ("sender", 0), 1, 99.5, 101.0)], False),
    ],
)
def test_only_a_fall_right_after_a_mail_excuses_a_second(
    accidents: list[Accident], excused: bool
) -> None:
    day = Day()
    send_again(day)
    day.evidence.accidents = accidents
    assert day.wrongs() == ([] if excused else ["twice"])
    assert in_flight(day.evidence) == (4 if excused else 0)


def test_an_event_that_was_sent_twice_is_wanted_once() -> None:
    day = Day()
    watched = Watched("ann", MONTH, "film-0", 10)
    for _ in range(2):
        day.sent("watch_history", watched, event_id="w1")
    assert day.wrongs() == ["statistics"]
    day.evidence.statistics["ann", MONTH]["seconds"] += 10
    day.evidence.statistics["ann", MONTH]["genres"][0]["seconds"] += 10
    assert day.wrongs() == []


def test_an_event_that_kafka_may_have_or_not_may_have_come_or_not() -> None:
    day = Day()
    value = f'{{"subject": "{LETTER[:-2]}9z"}}'.encode()
    day.book.failed(Event(topic="letters", value=value))
    mark = f"{LETTER[:-2]}9z"
    day.evidence.mails.append(Line(200.0, "taken", BOB, message_id="m", marks=[mark]))
    assert day.wrongs() == []
