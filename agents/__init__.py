"""What is decided, one module an event kind: generators from an event and a person to decisions.

May import `streams`' schemas and `tables`; nothing here awaits, sends or counts.
"""

from __future__ import annotations

from typing import Final

from agents.activity import post, tell
from agents.campaigns import schedule
from agents.episodes import announce
from agents.films import check
from agents.held import hold
from agents.registration import welcome
from agents.reminders import remind
from agents.statistics import report
from agents.users import choose, confirm, remember
from agents.watch_history import bookmark, watch
from streams.decisions import Agent

AGENTS: Final[tuple[Agent, ...]] = (
    remember,
    choose,
    confirm,
    welcome,
    watch,
    bookmark,
    announce,
    remind,
    report,
    tell,
    post,
    schedule,
    check,
    hold,
)
