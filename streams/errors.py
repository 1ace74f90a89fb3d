"""One tree of errors, split into what a retry can mend and what it cannot.

CinemaError
├── Unrecoverable            a retry gives the same result
│   ├── SettingsError        a setting is missing or wrong: the worker does not start
│   ├── InvalidRecord        a record that cannot be used: it goes to `dead_letters`
│   │   └── Misplaced        forwarded once and still in the wrong partition
│   ├── TooLarge             an output over its topic's limit, found before it is sent
│   ├── TemplateError        a template that is missing or raised: its job fails alone
│   ├── InvalidMail          a mail that cannot be written: an address no header can hold
│   ├── InvalidLink          a link that is forged, expired or made for another purpose
│   ├── Refused              an SMTP server said no for good (5yz)
│   ├── NotKept              a month of which not everything is kept any more
│   └── NotAllowed           a caller without the right to ask
└── Retryable                the same call may go through later
    ├── BrokerUnavailable    Kafka did not answer in time; what was sent may have been written
    ├── RedisUnavailable     the serving store is away
    ├── Recovering           the tables of that partition are not complete yet
    ├── Moved                the partition was taken away while its batch was in flight
    ├── Deferred             an SMTP server said not now (4yz)
    └── Undelivered          connection lost or timed out before the server had the mail
"""

from __future__ import annotations


class CinemaError(Exception):
    """Anything this service raises on purpose."""


class Unrecoverable(CinemaError):
    """A retry gives the same result."""


class Retryable(CinemaError):
    """The same call may go through later."""


class SettingsError(Unrecoverable):
    """A setting is missing or wrong; the message names it, its value and the remedy."""


class InvalidRecord(Unrecoverable):
    """A record that cannot be used; the message says which field and why."""


class Misplaced(InvalidRecord):
    """A record that was forwarded once and is still in the wrong partition."""


class TooLarge(Unrecoverable):
    """An output over its topic's limit."""


class TemplateError(Unrecoverable):
    """A template that is missing or raised while it was rendered."""


class InvalidMail(Unrecoverable):
    """A mail that cannot be written: an address, id or link that no header can hold."""


class InvalidLink(Unrecoverable):
    """A link that is forged, expired or made for another purpose."""


class Refused(Unrecoverable):
    """An SMTP server said no for good (RFC 5321, 4.2.1: 5yz)."""


class NotKept(Unrecoverable):
    """A month of which not everything is kept any more."""


class NotAllowed(Unrecoverable):
    """A caller without the right to ask."""


class BrokerUnavailable(Retryable, ConnectionError):
    """Kafka did not answer in time; what was sent may have been written."""


class RedisUnavailable(Retryable, ConnectionError):
    """The serving store is away."""


class Recovering(Retryable):
    """The tables of that partition are not complete yet."""


class Moved(Retryable):
    """The partition was taken away while its batch was in flight: its new owner does it again."""


class Deferred(Retryable):
    """An SMTP server said not now (RFC 5321, 4.2.1: 4yz)."""


class Undelivered(Retryable, ConnectionError):
    """Connection lost or timed out before the server had taken the mail."""
