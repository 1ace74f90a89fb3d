"""The mails of a campaign, rendered once into segments and only joined for each recipient.

Many jobs say the same but for the recipient's name and links. What they have in common is rendered
with holes in these places (`sender/holes.py`). Where that proves that the template does nothing but
insert the values, the pieces are kept, and a mail costs a join of bytes; anything else is rendered
for each recipient. Either way gives the same bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import msgspec
from markupsafe import escape

from sender.catalogue import HTML, SUBJECT, TEXT
from sender.holes import FILLERS, LONGEST, Hole, Place, Touched, cut, sentinel
from sender.links import Links
from sender.message import in_wire_form
from sender.render import Joined, Rendered, Renderer, subject_line, tidy
from streams.errors import TemplateError
from streams.jobs import Job

# The one field of a context that differs from recipient to recipient.
USERNAME: Final = "username"
LINKS: Final = tuple(one.name for one in fields(Links))
# From its tenth mail on a text is a campaign's. A proof costs as much as four mails or so, and who
# sends each of many texts ten times pays that for all of them.
WORTH: Final = 10
# Texts that were met lately and not often enough. Weekly reminders, each with its own films, come
# in between the mails of a campaign.
MET: Final = 10_000
# Few campaigns are under way at a time, in few languages, and each may hold a megabyte.
KEPT: Final = 32

Values = dict[str, str]


class Segments:
    """Renders jobs, those of campaigns from segments.

    `kept` are the forms of campaigns, None for what cannot be joined.
    """

    def __init__(self, renderer: Renderer) -> None:
        """Render with that renderer what has no segments."""
        self._renderer = renderer
        # By their hashes: where two meet, a text is proven before it is worth it.
        self._met: OrderedDict[int, int] = OrderedDict()
        self.kept: OrderedDict[bytes, _Form | None] = OrderedDict()

    def render(self, job: Job, links: Links, now: datetime) -> Rendered | Joined:
        """Return subject, HTML and text of a job; raises TemplateError as the renderer does."""
        values = _values(job, links)
        if not all(map(_is_plain, values.values())):
            return self._renderer.render(job, links, now)
        key = _key(job, values)
        form = self.kept.get(key)
        if form is not None:
            self.kept.move_to_end(key)
            return form.joined(values)
        rendered = self._renderer.render(job, links, now)
        if key not in self.kept and self._is_worth(key):
            form = self._proven(job, links, values)
            if form is not None and form.joined(values) != _in_wire_form(rendered):
                form = None
            self.kept[key] = form
            if len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return rendered

    def _is_worth(self, key: bytes) -> bool:
        text = hash(key)
        times = self._met.pop(text, 0) + 1
        if times >= WORTH:
            return True
        self._met[text] = times
        if len(self._met) > MET:
            self._met.popitem(last=False)
        return False

    def _proven(self, job: Job, links: Links, values: Values) -> _Form | None:
        """Return the form of a job's mails; None where a template does more than insert values."""
        try:
            form, other = (self._cut(job, links, values, filler) for filler in FILLERS)
        except (TemplateError, Touched):
            return None
        return form if form == other else None

    def _cut(self, job: Job, links: Links, values: Values, filler: str) -> _Form:
        holes = {name: Hole(sentinel(name, filler)) for name in values}
        context = self._renderer.context(job, links, None) | holes | {"now": Hole(None)}
        subject = cut(self._file(job, SUBJECT, context), values, filler)
        # The bodies see the subject; one that names the recipient is one more hole in them.
        whole = len(subject) == 1
        names = [*values, "subject"]
        line = subject_line(str(subject[0]))
        context["subject"] = line if whole else Hole(sentinel("subject", filler))
        text = tidy(self._file(job, TEXT, context)) + "\n"
        html = self._file(job, HTML, context)
        return _Form(
            (line,) if whole else subject,
            _Part.of(cut(in_wire_form(html).decode(), names, filler)),
            _Part.of(cut(in_wire_form(text).decode(), names, filler)),
            context["locale"],
        )

    def _file(self, job: Job, file: str, context: Mapping[str, Any]) -> str:
        return self._renderer.file(job, file, context, proving=True)


@dataclass(frozen=True, slots=True)
class _Part:
    """A body in pieces; at each of the `places` a value is to be put between them."""

    pieces: list[bytes]
    places: list[tuple[int, str, bool]]

    @classmethod
    def of(cls, cut: Sequence[str | Place]) -> _Part:
        places = [(index, *one) for index, one in enumerate(cut) if isinstance(one, Place)]
        return cls([b"" if isinstance(one, Place) else one.encode() for one in cut], places)

    def joined(self, values: Values) -> bytes:
        pieces = self.pieces.copy()
        for index, name, escaped in self.places:
            value = values[name]
            pieces[index] = (escape(value) if escaped else value).encode()
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Form:
    """What the mails of many recipients have in common."""

    subject: tuple[str | Place, ...]
    html: _Part
    text: _Part
    locale: str

    def joined(self, values: Values) -> Joined:
        if len(self.subject) == 1:
            subject = str(self.subject[0])
        else:
            pieces = (values[one.name] if isinstance(one, Place) else one for one in self.subject)
            subject = subject_line("".join(pieces))
            values = values | {"subject": subject}
        return Joined(subject, self.html.joined(values), self.text.joined(values), self.locale)


def _values(job: Job, links: Links) -> Values:
    """Return what fills the holes of a job: what it has of its recipient's name and links."""
    values = {name: url for name in LINKS if (url := getattr(links, name))}
    username = job.context.get(USERNAME)
    if username and isinstance(username, str):
        values[USERNAME] = username
    return values


def _is_plain(value: str) -> bool:
    """Tell whether a value may fill a hole: nothing in it is changed on the way into a mail.

    Line ends, control characters, lone surrogates and white space at an end are.
    """
    return value.isprintable() and len(value) <= LONGEST and value[0] != " " and value[-1] != " "


def _key(job: Job, values: Values) -> bytes:
    """Return all that a template sees of a job, but for the values."""
    context = job.context
    if USERNAME in values:
        context = {name: value for name, value in context.items() if name != USERNAME}
    return msgspec.json.encode((job.template, job.locale, job.kind, list(values), context))


def _in_wire_form(rendered: Rendered) -> Joined:
    html, text = in_wire_form(rendered.html), in_wire_form(rendered.text)
    return Joined(rendered.subject, html, text, rendered.locale)
