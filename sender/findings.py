"""What may bring a mail into a spam folder, or be cut off: found in its bytes, before it is sent.

Rules of thumb that the large filters share (SpamAssassin's stock rules, Gmail's and Outlook's
guidelines for senders), for whoever writes templates. No verdict: filters weigh a sender's name
far more.
"""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

# Gmail cuts a mail's HTML at 102 kB; ours promise less, so that a phone has it at once.
SIZE_LIMIT: Final = 60_000
# What the list of a mail client shows of a subject at a desk; a phone shows half of it.
SUBJECT_LENGTH: Final = 70
# Fewer letters in capitals are a name or an abbreviation.
CAPITALS: Final = 8
# SpamAssassin's HTML_IMAGE_RATIO and HTML_IMAGE_ONLY look at mails with less text beside pictures.
LETTERS_A_PICTURE: Final = 200
SILENT: Final = frozenset({"head", "style", "script", "title"})
ACTIVE: Final = frozenset({"script", "form", "iframe", "object", "embed"})
ADDRESS: Final = re.compile(
    r"(?:https?://)?((?:[\w-]+\.)+[a-zа-я]{2,})(?:[/?#:]\S*)?", re.IGNORECASE
)
UNFILLED: Final = re.compile(r"\{\{|\{%|\bundefined\b|\bNone\b|%\w+%")


class Finding(NamedTuple):
    """What was found, by a name that the pages' texts explain, and where."""

    name: str
    detail: str = ""


def findings(source: bytes, *, listed: bool) -> list[Finding]:
    """Return what speaks against a mail; `listed` is whether one can unsubscribe from its kind."""
    mail = message_from_bytes(source, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    text, html = _part(mail, "plain"), _Html(_part(mail, "html"))
    found = [*_subject(str(mail["Subject"] or ""))]
    if len(source) > SIZE_LIMIT:
        found.append(Finding("too_large", str(len(source))))
    if not text.strip():
        found.append(Finding("no_text"))
    if listed and not (mail["List-Unsubscribe"] and mail["List-Unsubscribe-Post"]):
        found.append(Finding("no_unsubscribe"))
    if html.pictures and len(html.text) < LETTERS_A_PICTURE * html.pictures:
        found.append(Finding("mostly_pictures", str(html.pictures)))
    found.extend(Finding("no_alt", one) for one in html.without_alt)
    found.extend(Finding("active", one) for one in sorted(html.active))
    for address, label in html.links:
        found.extend(_link(address, label))
    if match := UNFILLED.search(text) or UNFILLED.search(html.text):
        found.append(Finding("unfilled", match[0]))
    return list(dict.fromkeys(found))


def _subject(subject: str) -> list[Finding]:
    letters = [letter for letter in subject if letter.lower() != letter.upper()]
    found = []
    if not subject.strip():
        found.append(Finding("no_subject"))
    if len(letters) >= CAPITALS and all(letter.isupper() for letter in letters):
        found.append(Finding("capitals", subject))
    if len(subject) > SUBJECT_LENGTH:
        found.append(Finding("long_subject", str(len(subject))))
    if re.search(r"[!?]{2}|!.*!", subject):
        found.append(Finding("shouting", subject))
    return found


def _link(address: str, label: str) -> list[Finding]:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return [Finding("odd_link", address)]
    if parts.scheme in ("mailto", "tel"):
        return []
    if parts.scheme not in ("http", "https") or not host or _is_number(host):
        return [Finding("odd_link", address)]
    shown = ADDRESS.fullmatch(label.strip())
    if shown and _home(shown[1]) != _home(host):
        return [Finding("other_link", f"{label.strip()} → {host}")]
    return []


def _is_number(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _home(host: str) -> str:
    """Return the host as people name it."""
    return host.lower().removeprefix("www.")


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return "" if part is None else str(part.get_content())


class _Html(HTMLParser):
    """What a reader sees of a mail's HTML, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pictures = 0
        self.without_alt: list[str] = []
        self.active: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self._text: list[str] = []
        self._silent = 0
        self._link: str | None = None
        self._label: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """What is to be read, with its white space as one."""
        return " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ACTIVE:
            self.active.add(tag)
        if tag in SILENT:
            self._silent += 1
        if tag == "img":
            self.pictures += 1
            if given.get("alt") is None:
                self.without_alt.append(given.get("src") or "")
        if tag == "a" and given.get("href"):
            self._link, self._label = given["href"], []

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(self._silent - 1, 0)
        if tag == "a" and self._link is not None:
            self.links.append((self._link, "".join(self._label)))
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self._text.append(data)
        if self._link is not None:
            self._label.append(data)
