"""What can go wrong while a stack is started."""

from __future__ import annotations

from streams.errors import Retryable, Unrecoverable


class StackError(Unrecoverable):
    """The stack cannot be started as asked; the message says what is missing."""


class NotReady(Retryable, TimeoutError):
    """Something that was started did not answer in time; its log says why."""
