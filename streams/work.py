"""What a partition's task has in hand between two flushes: outputs, and the book it will write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec
from aiokafka import ConsumerRecord

from streams import kinds, topics
from streams.decisions import Decision
from streams.jobs import Delivery, Job, encode
from streams.outgoing import Outgoing
from streams.records import Output
from tables.counts import CountsRow, Outcome

LANES = {kinds.URGENT: topics.OUTBOX_URGENT, kinds.BULK: topics.OUTBOX}


def routed(decision: Decision, partition: int) -> list[Output]:
    """Return the records that a decision is: a job on its lane or held, a skip, an erasure."""
    if isinstance(decision, Job):
        if decision.not_before is None:
            topic = LANES[kinds.KINDS[decision.kind].lane]
            return [Output(topic, decision.user_id, encode(decision), partition)]
        reason = f"waits for the delivery window until {decision.not_before.isoformat()}"
        deferred = decision.delivery("deferred", reason, decision.created_at)
        return [
            Output(topics.HELD, decision.user_id, encode(decision), partition),
            Output(topics.DELIVERIES, decision.user_id, encode(deferred), partition),
        ]
    topic = topics.DELIVERIES if isinstance(decision, Delivery) else topics.OUTBOX_URGENT
    return [Output(topic, decision.user_id, encode(decision), partition)]


def checked(decisions: Iterable[Decision], partition: int) -> list[Output]:
    """Return the records that decisions are; raises TooLarge where a topic would refuse one."""
    outputs = [output for decision in decisions for output in routed(decision, partition)]
    for output in outputs:
        Outgoing.check(output)
    return outputs


class Work:
    """Outputs gathered since the last flush, and what they add to the partition's book."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.outputs: list[Output] = []
        self.size = 0
        self.applied: dict[str, int] = {}
        self.since: float | None = None
        self._records: defaultdict[tuple[str, str], int] = defaultdict(int)
        # The kinds of job ids, one for each.
        self._jobs: list[str] = []

    def mark(self) -> tuple[int, int, int]:
        """Return how much there is, for `back`."""
        return len(self.outputs), self.size, len(self._jobs)

    def back(self, mark: tuple[int, int, int]) -> None:
        """Take back what a decision that raised has added since that mark."""
        outputs, self.size, jobs = mark
        del self.outputs[outputs:], self._jobs[jobs:]

    def emit(self, outputs: list[Output]) -> None:
        """Take records that are to be sent."""
        self.outputs.extend(outputs)
        for output in outputs:
            self.size += len(output.value or b"")

    def count(self, decisions: Iterable[Decision]) -> None:
        """Count the job ids of decisions made for the first time.

        What is said of a job was counted with the job; what was decided against has no channel.
        """
        for one in decisions:
            if isinstance(one, Job) or (isinstance(one, Delivery) and not one.channel):
                self._jobs.append(one.kind)

    def ended(self, record: ConsumerRecord, outcome: Outcome) -> None:
        """Book how a record ended, and that it was applied."""
        self._records[record.topic, outcome] += 1
        self.applied[record.topic] = record.offset + 1

    def booked(self, book: CountsRow) -> CountsRow:
        """Return the book with what was gathered, and start anew."""
        records = {topic: dict(outcomes) for topic, outcomes in book.records.items()}
        for (topic, outcome), number in self._records.items():
            outcomes = records.setdefault(topic, {})
            outcomes[outcome] = outcomes.get(outcome, 0) + number
        counted = dict(book.jobs)
        for kind, number in Counter(self._jobs).items():
            counted[kind] = counted.get(kind, 0) + number
        row = msgspec.structs.replace(
            book,
            applied={**book.applied, **self.applied},
            records=records,
            jobs=counted,
            since=self.since if book.since is None else book.since,
        )
        self.outputs, self.size, self.applied = [], 0, {}
        self._records.clear()
        self._jobs.clear()
        return row
