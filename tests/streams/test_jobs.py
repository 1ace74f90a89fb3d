"""What the service says to the outside."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.jobs import Cause, Erase, address_hash, decode_outbox, encode, job_id
from tests.tables.test_partition import NOW, job

# Ids and kinds hold no control characters (streams/fields.py); occasions only the unit separator.
parts = st.tuples(*[st.text(st.characters(min_codepoint=0x1F, codec="utf-8"), max_size=8)] * 4)


@given(parts, parts)
def test_two_occasions_have_two_ids(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (job_id(*one) == job_id(*other)) == (one == other)


def test_an_id_never_changes() -> None:
    # Ids of jobs in the ledger must be the same after an upgrade.
    assert job_id("2026-W47", "weekly_reminder", "ann", "email") == (
        "31a611eda887ae220b897edda4915899"
    )


def test_an_outbox_holds_jobs_and_erasures() -> None:
    one = job(1, "ann", NOW)
    erase = Erase(user_id="ann", at=NOW, cause=Cause("users", 0, 1))
    assert decode_outbox(encode(one)) == one
    assert decode_outbox(encode(erase)) == erase
    with pytest.raises(msgspec.ValidationError):
        decode_outbox(b'{"kind": "tip"}')


def test_an_address_is_hashed_in_whatever_case_it_is_written() -> None:
    assert address_hash(" Ann@Example.org\n") == address_hash("ann@example.org")
    assert "ann" not in address_hash("ann@example.org")
