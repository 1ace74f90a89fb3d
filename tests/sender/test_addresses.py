from __future__ import annotations

import pytest

from sender.addresses import ascii_domain, mailbox, needs_smtputf8, on_the_wire
from streams.errors import InvalidMail


def test_a_domain_in_cyrillic_goes_over_the_wire_in_ascii() -> None:
    assert on_the_wire("anna@кино.рф") == "anna@xn--h1adke.xn--p1ai"


@pytest.mark.parametrize("domain", ["example.org", "sub.Example.org", "localhost", "a_b.example"])
def test_an_ascii_domain_stays_as_it_is(domain: str) -> None:
    assert ascii_domain(domain) == domain


def test_an_address_literal_stays_as_it_is() -> None:
    assert on_the_wire("anna@[192.0.2.1]") == "anna@[192.0.2.1]"


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("anna.b+films@example.org", "anna.b+films@example.org"),
        ("anna..b@example.org", '"anna..b"@example.org'),
        (".anna@example.org", '".anna"@example.org'),
        ("a[b@example.org", '"a[b"@example.org'),
        ('"a b"@example.org', '"a b"@example.org'),
        (r'"a\"b"@example.org', r'"a\"b"@example.org'),
    ],
)
def test_a_local_part_is_quoted_only_where_it_must_be(address: str, wire: str) -> None:
    assert on_the_wire(address) == wire


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@example.org",
        "anna@",
        "anna@exa mple.org",
        "anna@example.org\r\nBcc: boris@example.org",
        "an\r\nBcc: x\r\n na@example.org",
        "anna@..",
        "anna@example.org>",
        "anna\ud800@example.org",
        "anna@\u0378.example",
    ],
)
def test_an_address_no_header_can_hold_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(InvalidMail) as caught:
        on_the_wire(address)
    assert "anna@" not in str(caught.value)
    assert "boris" not in str(caught.value)


def test_only_a_local_part_outside_of_ascii_needs_smtputf8() -> None:
    assert needs_smtputf8("noreply@example.org", "анна@example.org")
    assert not needs_smtputf8("noreply@example.org", "anna@кино.рф")


def test_a_mailbox_is_a_name_and_an_address_or_an_address_alone() -> None:
    assert mailbox("Cinema <noreply@example.org>") == ("Cinema", "noreply@example.org")
    assert mailbox("noreply@example.org") == ("", "noreply@example.org")
    with pytest.raises(InvalidMail, match="no mailbox"):
        mailbox("<>")
