"""The documents say what the code does: tables, metrics, make targets, addresses, links."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
from msgspec import inspect

from dev import meanings, reference, screenshots
from dev.samples import samples
from streams import topics
from streams.settings import PREFIX, Settings
from tests.conftest import Up

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Made by the client library: of each process, and for each counter and histogram.
LIBRARY = re.compile(r"^cinema_process_|_created$")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """Return a document's anchors, as GitHub makes them of headings."""
    text = FENCE.sub("", path.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


# -- what is generated


@pytest.mark.parametrize("path", reference.documents(), ids=lambda path: path.name)
def test_what_is_generated_is_as_the_code_has_it(path: Path) -> None:
    assert path.read_text("utf-8") == reference.documents()[path], "run python -m dev reference"


def test_every_field_of_every_schema_has_a_meaning_and_no_meaning_is_left_over() -> None:
    schemas = {topic.value for topic in topics.TOPICS.values()} | {
        *chain.from_iterable(reference.BESIDE.values())
    }
    schemas |= {*reference.nested(schemas)}
    used = set()
    for schema in schemas:
        info = inspect.type_info(schema)
        assert isinstance(info, inspect.StructType)
        names = [field.name for field in info.fields]
        if info.tag_field is not None:
            names.append(info.tag_field)
        used |= {reference.meaning(schema, name)[1] for name in names}
    assert used == set(meanings.FIELDS)


def test_every_topic_and_setting_has_a_meaning_and_no_meaning_is_left_over() -> None:
    assert set(meanings.TOPICS) == set(topics.TOPICS)
    assert list(meanings.SETTINGS) == list(Settings.__dataclass_fields__)


def test_the_examples_are_the_sample_events_and_can_be_read() -> None:
    shown = re.findall(r"^```json\n(.*?)^```$", read("docs/events.md"), re.MULTILINE | re.DOTALL)
    assert len(shown) == len(topics.INPUTS) == len(samples(reference.SAMPLED_AT))
    for topic, text in zip(topics.INPUTS, shown, strict=True):
        topics.DECODERS[topic.name](text.encode())


class Inner(msgspec.Struct):
    marks: list[int]


class Outer(msgspec.Struct):
    inner: Inner | None
    flag: bool


def test_a_nested_schema_and_its_unions_are_written_in_words() -> None:
    info = inspect.type_info(Outer)
    assert isinstance(info, inspect.StructType)
    words = [reference.type_of(field.type) for field in info.fields]
    assert words == ["[Inner](#inner) or null", "true or false"]
    assert reference.nested([Outer])[-1] is Inner


# -- what is written by hand


def test_the_readme_keeps_the_order_in_which_a_new_user_reads() -> None:
    assert re.findall(r"^## (.+)$", read("README.md"), re.MULTILINE) == [
        "Two commands",
        "Your first event",
        "Topics",
        "Running in production",
        "Where things live",
    ]


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        named = set(re.findall(r"(?:`|^|&& )make (?:-s )?([a-z-]+)", path.read_text("utf-8")))
        assert named <= targets, path.name
    assert {"demo", "test", "test-kafka", "up"} <= set(
        re.findall(r"make (?:-s )?([a-z-]+)", read("README.md"))
    )


def test_every_setting_that_a_document_names_is_one() -> None:
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    for path in DOCUMENTS:
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
        assert named <= known, path.name


def test_the_intake_takes_every_event_that_the_readme_posts() -> None:
    posted = re.findall(
        r"localhost:8082/topics/(\w+)'.*?--data-raw '(.+?)'$", read("README.md"), re.M
    )
    assert len(posted) == 4
    for name, body in posted:
        for record in msgspec.json.decode(body)["records"]:
            topics.DECODERS[name](msgspec.json.encode(record["value"]))


def test_every_room_that_the_readme_names_is_there_and_none_is_left_out() -> None:
    table = read("README.md").partition("## Where things live")[2]
    named = set(re.findall(r"`(\w+)/`", "".join(re.findall(r"^\| (`.+?) \|", table, re.MULTILINE))))
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"docs", "tests"}
    assert named == there


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{path.name}: {target}"
        assert not anchor or anchor in anchors(found), f"{path.name}: {target}"


def test_the_pictures_are_there_and_small_enough_for_a_slow_line() -> None:
    named = set(re.findall(r'(?:src|srcset)="(docs/images/[^"]+)"', read("README.md")))
    assert named == {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/images/*.png")}
    assert {f"docs/images/{name}.png" for name in screenshots.names()} == named
    for name in named:
        assert (ROOT / name).stat().st_size < 300_000


def test_what_the_code_says_of_a_document_is_in_it() -> None:
    text = read("docs/architecture.md")
    for room in ("streams", "agents", "tables", "sender"):
        for path in (ROOT / room).rglob("*.py"):
            for heading in re.findall(r'docs/architecture\.md, "([^"]+)"', path.read_text("utf-8")):
                assert f"# {heading}\n" in text, path


def test_the_changelog_has_what_is_not_released_yet() -> None:
    assert "## [Unreleased]" in read("CHANGELOG.md")


# -- metrics and addresses


def documented_metrics() -> set[str]:
    return set(re.findall(r"^\| `(cinema_[a-z_]+)` \|", read("docs/operations.md"), re.MULTILINE))


def calls(folder: str) -> Iterator[tuple[str, str]]:
    """Yield function and first argument of each call that names something, in a room's code."""
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            node.target.id: node.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                first: ast.expr | None = node.args[0]
                if isinstance(first, ast.Name):
                    first = constants.get(first.id)
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield name, first.value


def test_every_metric_in_the_code_is_documented_and_none_beside() -> None:
    form = {
        "Row": "cinema_{}",
        "gauge": "cinema_{}",
        "histogram": "cinema_{}",
        "counter": "cinema_{}_total",
        "GaugeMetricFamily": "{}",
        "CounterMetricFamily": "{}_total",
    }
    assert documented_metrics() == {
        form[function].format(name)
        for room in ("streams", "sender")
        for function, name in calls(room)
        if function in form
    }


def test_every_address_in_the_code_is_documented() -> None:
    text = read("docs/operations.md")
    for room in ("streams", "sender"):
        for function, path in calls(room):
            if function in ("add_get", "add_post") and not path.startswith("/static/"):
                shown = re.sub(r"\{(\w+)\}", lambda m: "{id}" if "user" in m[1] else m[0], path)
                start = "/health/" if shown.startswith("/health/") else shown
                assert start in text, path


@pytest.mark.integration
def test_every_number_that_running_workers_export_is_documented(stack: Up) -> None:
    for url in (*stack.addresses.streams, *stack.addresses.sender):
        with urlopen(f"{url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        names = re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
        own = {name for name in names if not LIBRARY.search(name)}
        assert own, url
        assert own <= documented_metrics(), url
