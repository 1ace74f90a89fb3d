"""`python -m dev reference`: write what the documents say of topics, events and settings.

docs/events.md is written whole; in other documents what stands between `<!-- name -->` and
`<!-- /name -->` is. A test holds all of it against the code.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING
from dataclasses import fields as settings_of
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from dev import meanings
from dev.samples import samples
from streams import fields, jobs, kinds, topics
from streams.settings import PREFIX, Settings, SmtpServer, Window
from streams.topics import Topic

ROOT: Final = Path(__file__).resolve().parent.parent
# So that writing twice gives the same text.
SAMPLED_AT: Final = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
#: What else a topic's values may be.
BESIDE: Final[dict[str, tuple[type[msgspec.Struct], ...]]] = {
    topics.OUTBOX_URGENT.name: (jobs.Erase,),
    topics.INBOX.name: (jobs.InboxRead, jobs.InboxErased),
}
#: Schemas that more than one topic or field names.
SHARED: Final[tuple[type[msgspec.Struct], ...]] = (jobs.Job, jobs.Cause)
BEGIN: Final = """\
# Events

<!-- Written by `python -m dev reference` from streams/events, streams/jobs.py and
dev/meanings.py: edit those. -->

Values are JSON objects in UTF-8; fields that a schema does not name are ignored. An **id** is
text of 1 to 256 characters without control characters; an integer becomes its decimal text. A
**time** is ISO 8601 with an offset, or epoch seconds. A record's key is the id's UTF-8 bytes,
unquoted. A value holds at most 1 MiB. A **kind** is one of
{kinds}.

A record that cannot be used goes to `dead_letters` with the reason, and nothing after it waits.
Producers need not know how we partition: a record without its key (where the topic is not
compacted), or in a partition that its person does not live in, is sent on to the right one, once,
with the header `cinema-origin: topic/partition/offset` and its own time.
"""


def main(arguments: Sequence[str]) -> int:
    """Write the documents that have changed."""
    parser = argparse.ArgumentParser(prog="python -m dev reference", description=__doc__)
    parser.parse_args(arguments)
    for path, text in documents().items():
        if path.read_text("utf-8") != text if path.exists() else True:
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))
    return 0


def documents() -> dict[Path, str]:
    """Return the documents as they should be, by path."""
    found = {ROOT / "docs" / "events.md": events()}
    for path, blocks in BLOCKS.items():
        text = (ROOT / path).read_text("utf-8")
        for name, write in blocks.items():
            begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
            head, _, rest = text.partition(begin)
            _, found_end, tail = rest.partition(end)
            if not found_end:
                raise ValueError(f"{path} has no {begin.strip()} … {end}")
            text = f"{head}{begin}{write()}{end}{tail}"
        found[ROOT / path] = text
    return found


def events() -> str:
    """Return docs/events.md."""
    examples = {topic.name: value for topic, _, value in samples(SAMPLED_AT)}
    parts = [BEGIN.format(kinds=", ".join(f"`{name}`" for name in kinds.KINDS))]
    parts.append("\n# What comes in\n")
    for topic in topics.INPUTS:
        parts.append(_topic(topic, _fields(topic.value)))
        shown = msgspec.json.format(msgspec.json.encode(examples[topic.name]), indent=2).decode()
        parts.append(f"\n```json\n{shown}\n```\n")
    parts.append("\n# What goes out\n")
    for topic in topics.OUTPUTS:
        if topic.value in SHARED:
            body = f"\nValues are of the form [{topic.value.__name__}](#{_anchor(topic.value)}).\n"
        else:
            body = _fields(topic.value)
        for other in BESIDE.get(topic.name, ()):
            body += f"\nOr `{other.__name__}`: {_docstring(other)}\n{_fields(other)}"
        parts.append(_topic(topic, body))
    parts.append("\n# Forms that stand in others\n")
    parts.extend(
        f"\n## {struct.__name__}\n\n{_docstring(struct)}\n{_fields(struct)}"
        for struct in nested(topic.value for topic in topics.TOPICS.values())
    )
    return "".join(parts)


def topics_table() -> str:
    """Return the table of topics, those that come in first."""
    lines = ["| topic | key | kept | what it says |", "| --- | --- | --- | --- |"]
    for title, group in (("in", topics.INPUTS), ("out", topics.OUTPUTS)):
        lines.append(f"| **{title}** | | | |")
        lines += [
            f"| [`{topic.name}`](docs/events.md#{topic.name}) | {_key(topic)} | {kept(topic)} "
            f"| {meanings.TOPICS[topic.name]} |"
            for topic in group
        ]
    return "\n".join(lines) + "\n"


def retention_table() -> str:
    """Return the table of what Kafka is told about each topic."""
    lines = ["| topic | kept | `max.message.bytes` |", "| --- | --- | --- |"]
    lines += [
        f"| `{topic.name}` | {kept(topic)} | {topic.max_message_bytes // topics.MIB} MiB |"
        for topic in topics.TOPICS.values()
    ]
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """Return the table of settings, in their order."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for item in settings_of(Settings):
        default = "" if item.default is MISSING else _default(item.default)
        shown = f"`{default}`" if default else ""
        name = PREFIX + item.name.upper()
        lines.append(f"| `{name}` | {shown} | {meanings.SETTINGS[item.name]} |")
    return "\n".join(lines) + "\n"


BLOCKS: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "README.md": {"topics": topics_table},
    "docs/operations.md": {"settings": settings_table, "retention": retention_table},
}


def kept(topic: Topic) -> str:
    """Return for how long a topic keeps its records, in words."""
    if topic.compacted:
        return "compacted"
    hours = topic.retention.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 24 else f"{hours / 24:.0f} days"


def type_of(kind: inspect.Type) -> str:
    """Return a type in words."""
    match kind:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            if schema is None:
                return type_of(inner)
            return "time" if "format" in schema else "local date and time"
        case inspect.UnionType(types=members):
            words = list(dict.fromkeys(map(type_of, members)))
            # What these may be written as is said once, at the top.
            if short := [word for word in words if word in ("id", "time")]:
                words = [*short, *(["null"] if "null" in words else [])]
            return " or ".join(words)
        case inspect.StrType(pattern=pattern):
            return "text" if pattern is None else PATTERNS.get(pattern, "local time")
        case inspect.FloatType(ge=low, le=high):
            return "number" if low is None else f"number from {low:,} to {high:,}"
        case inspect.IntType(ge=low, le=high):
            return "whole number" if low is None else f"whole number from {low:,} to {high:,}"
        case inspect.ListType(item_type=item) | inspect.FrozenSetType(item_type=item):
            return f"list of {type_of(item)}"
        case inspect.DictType(value_type=inspect.AnyType()):
            return "object"
        case inspect.DictType(key_type=key, value_type=value):
            return f"object of {type_of(key)}: {type_of(value)}"
        case inspect.LiteralType(values=values):
            if set(values) == set(kinds.KINDS):
                return "kind"
            return " / ".join(f"`{value}`" for value in values)
        case inspect.StructType(cls=struct):
            return f"[{struct.__name__}](#{_anchor(struct)})"
        case inspect.BoolType():
            return "true or false"
        case inspect.DateTimeType():
            return "time"
        case inspect.NoneType():
            return "null"
    raise TypeError(f"{kind} has no words yet")


PATTERNS: Final = {
    fields.ID: "id",
    fields.MONTH: "month",
    fields.CODE: "code",
    fields.EVERYONE: "`all`",
    r"^[a-z][a-z0-9_]{0,63}\Z": "name",
}


def meaning(struct: type[msgspec.Struct], name: str) -> tuple[str, str]:
    """Return what a field means, and under which name that is written down."""
    for key in (f"{struct.__name__}.{name}", name):
        if key in meanings.FIELDS:
            return meanings.FIELDS[key], key
    raise KeyError(f"{struct.__name__}.{name} has no meaning in dev/meanings.py")


def nested(roots: Iterable[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return the schemas that stand in others, and those that several topics share."""
    found: dict[type[msgspec.Struct], None] = dict.fromkeys(SHARED)
    for root in roots:
        for struct in _structs(inspect.type_info(root)):
            if struct is not root:
                found[struct] = None
    return list(found)


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the schemas that a type holds, itself among them."""
    if isinstance(kind, inspect.StructType):
        yield kind.cls
        for field in kind.fields:
            yield from _structs(field.type)
    for name in ("type", "types", "item_type", "value_type"):
        inner = getattr(kind, name, ())
        for one in inner if isinstance(inner, tuple) else (inner,):
            yield from _structs(one)


def _topic(topic: Topic, body: str) -> str:
    facts = f"Key: {_key(topic)}. Kept: {kept(topic)}."
    what = meanings.TOPICS[topic.name]
    return f"\n## {topic.name}\n\n{what[0].upper()}{what[1:]}. {facts}\n{body}"


def _fields(struct: type[msgspec.Struct]) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    lines = ["", "| field | type | | meaning |", "| --- | --- | --- | --- |"]
    if info.tag_field is not None:
        text, _ = meaning(struct, info.tag_field)
        lines.append(f"| `{info.tag_field}` | `{info.tag}` | needed | {text} |")
    # What a record is about comes before its optional name.
    for field in sorted(info.fields, key=lambda field: field.name == "event_id"):
        needed = "needed" if field.required else ""
        text, _ = meaning(struct, field.name)
        lines.append(f"| `{field.encode_name}` | {type_of(field.type)} | {needed} | {text} |")
    return "\n".join(lines) + "\n"


def _docstring(struct: type[msgspec.Struct]) -> str:
    text = re.sub(r"\s+", " ", (struct.__doc__ or "").partition("\n\n")[0]).strip()
    return re.sub(r" \(topics? [^)]*\)", "", text)


def _key(topic: Topic) -> str:
    return "—" if not topic.key else f"`{topic.key}`" if " " not in topic.key else topic.key


def _anchor(struct: type[msgspec.Struct]) -> str:
    return struct.__name__.lower()


def _default(value: object) -> str:
    match value:
        case None | "" | () | frozenset():
            return ""
        case bool():
            return str(value).lower()
        case Window():
            return f"{value.start:%H:%M}-{value.end:%H:%M}"
        case SmtpServer():
            return f"smtp://{value.host}:{value.port}"
        case tuple():
            return ",".join(map(_default, value))
    return str(value)
