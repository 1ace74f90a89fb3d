"""The websocket channel: entries in the inbox, records on the topic, repeats harmless."""

from __future__ import annotations

from redis.asyncio import Redis

from sender.channels import Outcomes
from sender.inbox import Inbox
from sender.websocket import WebsocketChannel
from streams.errors import TemplateError
from streams.jobs import Job, decode_inbox
from tests.sender.conftest import NOW, job_of, never


class Rendered:
    def inbox(self, job: Job, now: object = None) -> tuple[str, str, str]:
        if job.kind == "episode":
            raise ZeroDivisionError
        if job.kind == "tip":
            raise TemplateError("template tip/en/inbox.txt: it raised")
        return "Title", job.context["body"], "https://cinema.example/"


def note(name: str, **fields: object) -> Job:
    values = {"channel": "websocket", "kind": "activity", "context": {"body": f"<b>{name}"}}
    return job_of(name, **(values | fields))


async def deliver(channel: WebsocketChannel, *jobs: Job) -> Outcomes:
    return [pair async for group in channel.deliver(jobs, NOW, never) for pair in group]


async def test_an_entry_is_in_the_inbox_and_its_record_ready_for_the_topic(redis: Redis) -> None:
    inbox = Inbox(redis)
    channel = WebsocketChannel(Rendered(), inbox)
    ((_, outcome),) = await deliver(channel, note("a"))
    (kept,) = await inbox.entries("anna")
    (output,) = outcome.outputs
    assert (output.topic.name, output.key) == ("inbox", "anna")
    record = decode_inbox(output.value or b"")
    assert record == kept.entry and kept.entry.job_id == note("a").job_id
    assert kept.entry.body == "<b>a"
    assert outcome.status == "sent"


async def test_a_repeat_gives_the_same_record_and_no_second_entry(redis: Redis) -> None:
    channel = WebsocketChannel(Rendered(), Inbox(redis))
    first = await deliver(channel, note("a"), note("b", user_id="boris"))
    assert await deliver(channel, note("a"), note("b", user_id="boris")) == first
    assert await Inbox(redis).unread("anna") == 1


async def test_a_bad_template_fails_and_an_error_of_ours_is_tried_again_each_alone(
    redis: Redis,
) -> None:
    channel = WebsocketChannel(Rendered(), Inbox(redis))
    jobs = (note("a", kind="tip"), note("b"), note("c", kind="episode"))
    delivered = await deliver(channel, *jobs)
    outcomes = {job.kind: outcome.status for job, outcome in delivered}
    assert outcomes == {"tip": "failed", "activity": "sent", "episode": "retrying"}
