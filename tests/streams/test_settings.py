"""Settings from the environment: a wrong one stops the start, in one line that names it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import time
from pathlib import Path

import pytest

from streams.errors import SettingsError
from streams.settings import READERS, DomainLimit, Settings, SmtpServer, Window

SECRET = "0123456789abcdef"
GOOD = {
    "CINEMA_JWT_SECRET": SECRET,
    "CINEMA_LINK_SECRET": SECRET,
    "CINEMA_API_KEYS": SECRET,
}


def read(**changes: str) -> Settings:
    return Settings.from_env(
        GOOD | {f"CINEMA_{name.upper()}": text for name, text in changes.items()}
    )


def test_every_setting_can_be_read_from_the_environment() -> None:
    assert {field.name for field in fields(Settings)} == set(READERS)


def test_what_is_not_set_has_the_contracts_default() -> None:
    settings = read()
    assert settings.confirm_days == 7
    assert settings.lanes == ("urgent", "bulk")
    assert settings.delivery_window == Window(time(9), time(21))
    assert (settings.streams_port, settings.sender_port) == (6066, 6067)
    assert (settings.confirm_on_get, settings.intake_loopback) == (False, False)
    assert settings.clock == "wall"


def test_secrets_have_no_defaults() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_env({})
    for name in ("CINEMA_JWT_SECRET", "CINEMA_LINK_SECRET", "CINEMA_API_KEYS"):
        assert name in str(error.value)


def test_limits_by_domain_are_read_with_and_without_a_rate() -> None:
    limits = read(domain_limits="Gmail.com=4/20, mail.example=2/0.5,*=8").domain_limits
    assert limits == (
        DomainLimit("gmail.com", 4, 20.0),
        DomainLimit("mail.example", 2, 0.5),
        DomainLimit("*", 8, None),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gmail.com", "gmail.com=4/20"),
        ("gmail.com=many", "'gmail.com=many' wants DOMAIN=CONNECTIONS"),
        ("gmail.com=4/20/3", "wants DOMAIN=CONNECTIONS"),
        ("anna@gmail.com=4", "wants DOMAIN=CONNECTIONS"),
        ("gmail.com=0", "would let nothing through"),
        ("gmail.com=4/0", "would let nothing through"),
        ("gmail.com=4,GMAIL.com=5", "names gmail.com more than once"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_told(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match="CINEMA_DOMAIN_LIMITS") as error:
        read(domain_limits=text)
    assert says in str(error.value)


@pytest.mark.parametrize("text", ["1", "0", "1001", "many"])
def test_mails_in_flight_are_at_least_one_for_each_lane(text: str) -> None:
    with pytest.raises(SettingsError, match=r"CINEMA_MAILS_IN_FLIGHT.*from 2 to 1000"):
        read(mails_in_flight=text)


def test_an_empty_value_is_as_good_as_none() -> None:
    assert read(default_timezone=" ").default_timezone == "UTC"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broker", "localhost:9092"),
        ("redis", "http://localhost"),
        ("smtp", "mail.example"),
        ("smtp", "smtp://mail.example?starttls=perhaps"),
        ("mail_from", "Cinema"),
        ("public_url", "localhost"),
        ("jwt_secret", "short"),
        ("link_secret", "short"),
        ("api_keys", "short"),
        ("jwt_algorithms", "none"),
        ("jwks_file", "/does/not/exist"),
        ("confirm_days", "0"),
        ("confirm_days", "seven"),
        ("confirm_on_get", "maybe"),
        ("allowed_origins", "cinema.example"),
        ("partitions", "-1"),
        ("clock", "sundial"),
        ("lanes", "urgent,slow"),
        ("default_timezone", "Mars/Olympus"),
        ("default_locale", "tlh"),
        ("delivery_window", "9-21"),
        ("delivery_window", "09:00-25:00"),
        ("streams_port", "65536"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: text})
    message = str(error.value)
    assert message.startswith(f"CINEMA_{name.upper()}=")
    assert "\n" not in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError, match=r"CINEMA_CLOCK.*CINEMA_DEFAULT_LOCALE|LOCALE.*CLOCK"):
        read(clock="sundial", default_locale="tlh")


@pytest.mark.parametrize("name", ["jwt_secret", "link_secret", "api_keys"])
def test_a_wrong_secret_is_not_shown(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: "hunter2"})
    assert "hunter2" not in str(error.value)


def test_secrets_are_not_shown_when_settings_are() -> None:
    settings = read(smtp="smtp://user:hunter2@mail.example")
    assert SECRET not in repr(settings)
    assert "hunter2" not in repr(settings)


def test_mail_servers_are_read_in_order_of_preference() -> None:
    first, second, third = read(
        smtp="smtps://u:p%40ss@a.example, smtp://b.example:2525?starttls=require smtp://u:p@c.example"
    ).smtp
    assert first == SmtpServer("a.example", 465, "u", "p@ss", tls=True)
    assert second == SmtpServer("b.example", 2525, starttls="require")
    assert third.port == 587


def test_lists_are_taken_apart_at_commas_and_spaces() -> None:
    settings = read(lanes="bulk", redirect_hosts="A.example, b.example", data_dir="there")
    assert settings.lanes == ("bulk",)
    assert settings.redirect_hosts == {"a.example", "b.example"}
    assert settings.data_dir == Path("there")


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("09:00-21:00", ["09:00", "20:59"], ["21:00", "08:59"]),
        ("22:00-02:00", ["22:00", "00:00", "01:59"], ["02:00", "21:59"]),
        ("00:00-00:00", ["00:00", "12:00"], []),
    ],
)
def test_a_window_may_pass_midnight(window: str, inside: list[str], outside: list[str]) -> None:
    of = Window.from_text(window)
    assert all(time.fromisoformat(text) in of for text in inside)
    assert all(time.fromisoformat(text) not in of for text in outside)


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        read().clock = "topic"  # type: ignore[misc]
