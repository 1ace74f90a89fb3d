"""The records that follow from outcomes: deliveries, jobs to be tried again, suppressions."""

from __future__ import annotations

from datetime import datetime

from sender import suppressions
from sender.channels import Outcomes
from sender.retries import conclude
from streams.jobs import Erase, InboxErased, Job, encode
from streams.records import Output
from streams.topics import DELIVERIES, HELD, INBOX


def follow(outcomes: Outcomes, now: datetime, scale: float) -> tuple[list[Output], Outcomes]:
    """Return the records, and the outcomes as they are to be settled.

    Where no try is left, `retrying` has become `failed`. `scale` stretches the pace of tries.
    """
    outputs: list[Output] = []
    settled: Outcomes = []
    for job, tried in outcomes:
        outcome, again = conclude(job, tried, now, scale)
        settled.append((job, outcome))
        outputs.extend(outcome.outputs)
        if outcome.suppress:
            outputs.append(suppressions.record(job.to, outcome.reason, now))
        if again is not None:
            outputs.append(waiting(again))
        delivery = job.delivery(outcome.status, outcome.reason, now)
        outputs.append(Output(DELIVERIES, job.user_id, encode(delivery)))
    return outputs, settled


def waiting(job: Job) -> Output:
    """Return the record that holds a job until its `not_before`."""
    return Output(HELD, job.user_id, encode(job))


def forgotten(erase: Erase) -> Output:
    """Return the record that keeps an erased person's entries from being put back."""
    return Output(INBOX, erase.user_id, encode(InboxErased(erased=erase.at)))
