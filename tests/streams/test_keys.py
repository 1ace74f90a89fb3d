"""API keys and their scopes."""

from __future__ import annotations

import pytest

from streams.errors import SettingsError
from streams.keys import SCOPES, Keys

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
