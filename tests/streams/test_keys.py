"""API keys and their scopes."""

from __future__ import annotations

import pytest

from streams.commands.key import main
from streams.errors import SettingsError
from streams.keys import SCOPES, Keys, entry_of, new_key

KEY = "sixteen-bytes-at-least"


def test_a_key_alone_may_do_everything() -> None:
    assert Keys([KEY]).scopes(KEY) == SCOPES


def test_a_key_may_do_what_it_names() -> None:
    keys = Keys([f"{KEY}:intake+read", "another-key-of-somebody:admin"])
    assert keys.scopes(KEY) == {"intake", "read"}
    assert keys.scopes("another-key-of-somebody") == {"admin"}


@pytest.mark.parametrize("presented", ["", "wrong", KEY[:-1], KEY + "x", f"{KEY}:read", "\udcff"])
def test_an_unknown_key_may_do_nothing(presented: str) -> None:
    assert Keys([f"{KEY}:read"]).scopes(presented) == frozenset()


@pytest.mark.parametrize("entry", [f"{KEY}:write", f"{KEY}:", "short:read", f"{KEY}:read:intake"])
def test_a_wrong_entry_stops_the_start_without_showing_the_key(entry: str) -> None:
    with pytest.raises(SettingsError, match="CINEMA_API_KEYS: entry 2") as caught:
        Keys([KEY, entry])
    assert entry.partition(":")[0] not in str(caught.value)


def test_no_key_is_kept_in_clear() -> None:
    keys = Keys([KEY])
    assert KEY not in repr(vars(keys))
    assert KEY.encode() not in repr(vars(keys)).encode()


def test_the_setting_may_hold_the_hash_in_place_of_the_key() -> None:
    key = new_key()
    entry = entry_of(key, ["intake/activity", "read"])
    assert key not in entry
    assert Keys([entry]).scopes(key) == {"intake/activity", "read"}
    assert Keys([entry_of(key)]).scopes(key) == SCOPES


def test_who_steals_the_setting_cannot_use_the_hash_as_a_key() -> None:
    entry = entry_of(new_key())
    for stolen in (entry, entry.removeprefix("sha256-")):
        assert Keys([entry]).scopes(stolen) == frozenset()


def test_a_scope_of_a_topic_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="intake/TOPIC"):
        Keys([f"{KEY}:intake/outbox"])


def test_the_command_makes_a_key_whose_entry_opens_what_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["intake/letters"]) == 0
    words = capsys.readouterr().out.split()
    assert Keys([words[3]]).scopes(words[1]) == {"intake/letters"}
