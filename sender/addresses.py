"""E-mail addresses as the wire wants them: domains in ASCII (IDNA), odd local parts quoted."""

from __future__ import annotations

import re
from email.utils import parseaddr
from functools import lru_cache
from typing import Final

import idna

from streams.errors import InvalidMail

# RFC 5322, 3.2.3 (atext) with RFC 6532's non-ASCII characters: what needs no quotes.
DOT_ATOM: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\ud7ff\ue000-\U0010ffff]+"
    r"(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\ud7ff\ue000-\U0010ffff]+)*"
)
QUOTABLE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
# Underscores are no host name's, but mail to such domains arrives.
DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Za-z.:]+\]")


@lru_cache(maxsize=4096)
def ascii_domain(domain: str) -> str:
    """Return the domain in ASCII (IDNA 2008 over UTS 46); InvalidMail where it has no such form."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            # The domain is not shown: it may name its owner, and messages end up in logs.
            raise InvalidMail(
                "the domain of an address has no ASCII form (IDNA 2008): correct it in the profile"
            ) from None
    if not DOMAIN.fullmatch(domain):
        raise InvalidMail("the domain of an address is no domain: correct it in the profile")
    return domain


def on_the_wire(address: str) -> str:
    """Return the address for an envelope or a header; the local part may hold UTF-8.

    Raises InvalidMail for one that no header can hold.
    """
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise InvalidMail("an address wants the form name@domain: correct it in the profile")
    if not DOT_ATOM.fullmatch(local):
        if len(local) > 1 and local[0] == local[-1] == '"':
            local = re.sub(r"\\(.)", r"\1", local[1:-1])
        if not QUOTABLE.fullmatch(local):
            raise InvalidMail("an address holds control characters: correct it in the profile")
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local}@{ascii_domain(domain)}"


def needs_smtputf8(*addresses: str) -> bool:
    """Tell whether mail to or from these needs RFC 6531: IDNA serves domains, not local parts."""
    return not all(address.rpartition("@")[0].isascii() for address in addresses)


@lru_cache(maxsize=64)
def mailbox(text: str) -> tuple[str, str]:
    """Return name and address of `Cinema <noreply@cinema.example>` or of a bare address."""
    name, address = parseaddr(text)
    if not address:
        raise InvalidMail(f"{text!r} is no mailbox: write it as Cinema <noreply@cinema.example>")
    return name, address
