"""A person's token, and every way to forge one that we know of."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from streams.errors import NotAllowed, SettingsError
from streams.settings import Settings
from streams.tokens import TOKEN_LENGTH, Tokens

SECRET = "a-secret-for-json-web-tokens-of-32-bytes"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
OCT = "another-secret-in-the-key-set-of-32-bytes"


def jwk(kid: str, key: Any, **fields: str) -> dict[str, Any]:
    if isinstance(key, str):
        found = jwt.algorithms.HMACAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return dict(found) | {"kid": kid} | fields


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    keys = [
        jwk("r", RSA),
        jwk("e", EC, alg="ES256"),
        jwk("h", OCT, alg="HS256"),
        jwk("sealed", RSA, use="enc"),
        jwk("large", RSA, alg="RS512"),
    ]
    path.write_text(json.dumps({"keys": keys}))
    return path


@pytest.fixture
def tokens(key_set: Path) -> Tokens:
    return Tokens(Settings(jwt_secret=SECRET, jwks_file=key_set))


def claims(**changes: Any) -> dict[str, Any]:
    found = {"sub": "u", "exp": int(time.time()) + 60} | changes
    return {name: value for name, value in found.items() if value is not None}


def signed(key: Any = SECRET, alg: str = "HS256", kid: str | None = None, **changes: Any) -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, alg, headers=headers)


def test_a_token_without_a_kid_is_checked_with_the_secret(tokens: Tokens) -> None:
    until = int(time.time()) + 1000
    assert tokens.verify(signed(exp=until)) == ("u", until, 0, None)


def test_what_a_token_can_be_revoked_by_is_read(tokens: Tokens) -> None:
    found = tokens.verify(signed(iat=1700000000, jti="one"))
    assert (found.issued_at, found.jti) == (1700000000, "one")


@pytest.mark.parametrize("iat", [None, "now", True, [], float("nan"), float("inf"), 10**400])
def test_a_token_that_does_not_say_when_it_was_issued_counts_as_old_or_is_refused(
    tokens: Tokens, iat: Any
) -> None:
    try:
        assert tokens.verify(signed(iat=iat)).issued_at in (0, 1)
    except NotAllowed:
        assert iat == 10**400


@pytest.mark.parametrize(
    ("kid", "key", "alg"), [("r", RSA, "RS256"), ("e", EC, "ES256"), ("h", OCT, "HS256")]
)
def test_the_kid_chooses_the_key(tokens: Tokens, kid: str, key: Any, alg: str) -> None:
    assert tokens.verify(signed(key, alg, kid)).user_id == "u"


def test_a_whole_number_for_a_subject_becomes_its_decimals(tokens: Tokens) -> None:
    assert tokens.verify(signed(sub=42)).user_id == "42"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"sub": None},
        {"sub": ""},
        {"sub": True},
        {"sub": ["u"]},
        {"sub": {"id": "u"}},
        {"sub": "u" * 257},
        {"nbf": int(time.time()) + 3600},
    ],
)
def test_a_token_with_wrong_claims_is_refused(tokens: Tokens, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        tokens.verify(signed(**changes))


def test_an_infinite_expiry_is_refused(tokens: Tokens) -> None:
    head, _, _ = signed().split(".")
    body = base64.urlsafe_b64encode(b'{"sub":"u","exp":1e999}').rstrip(b"=").decode()
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{body}".encode(), SECRET.encode()
    )
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(NotAllowed):
        tokens.verify(forged)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "...",
        "é.é.é",
        "x" * (TOKEN_LENGTH + 1),
        signed("a-wrong-secret-that-is-long-enough-here"),
        signed(OCT),
        signed(SECRET, kid="h"),
        signed(kid="nobody"),
        signed(RSA, "RS256"),
        signed(RSA, "RS256", "e"),
        signed(RSA, "RS512", "r"),
        signed(RSA, "RS256", "sealed"),
        signed(RSA, "RS512", "large"),
        signed(SECRET, "HS512"),
    ],
)
def test_a_token_of_another_key_or_algorithm_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(NotAllowed):
        tokens.verify(token)


def test_alg_none_is_refused(tokens: Tokens) -> None:
    for kid in (None, "r"):
        headers = None if kid is None else {"kid": kid}
        with pytest.raises(NotAllowed):
            tokens.verify(jwt.encode(claims(), "", "none", headers=headers))


def test_a_public_key_does_not_serve_as_a_secret(tokens: Tokens) -> None:
    """The confusion of HS256 with RS256: the public key is known to all."""
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = (
        part(b'{"alg":"HS256","kid":"r","typ":"JWT"}') + "." + part(json.dumps(claims()).encode())
    )
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    with pytest.raises(NotAllowed):
        tokens.verify(f"{text}.{part(algorithm.sign(text.encode(), pem))}")


def test_audience_and_issuer_are_checked_where_they_are_set() -> None:
    tokens = Tokens(Settings(jwt_secret=SECRET, jwt_audience="inbox", jwt_issuer="auth"))
    assert tokens.verify(signed(aud="inbox", iss="auth")).user_id == "u"
    assert tokens.verify(signed(aud=["web", "inbox"], iss="auth")).user_id == "u"
    for wrong in (
        {},
        {"aud": "inbox"},
        {"aud": "web", "iss": "auth"},
        {"aud": "inbox", "iss": "x"},
    ):
        with pytest.raises(NotAllowed):
            tokens.verify(signed(**wrong))


def test_without_a_secret_a_token_without_a_kid_is_refused(key_set: Path) -> None:
    with pytest.raises(NotAllowed):
        Tokens(Settings(jwks_file=key_set)).verify(signed())


def test_an_algorithm_that_is_not_allowed_leaves_its_keys_out(key_set: Path) -> None:
    tokens = Tokens(Settings(jwks_file=key_set, jwt_algorithms=("RS256",)))
    assert tokens.verify(signed(RSA, "RS256", "r")).user_id == "u"
    with pytest.raises(NotAllowed):
        tokens.verify(signed(EC, "ES256", "e"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        '{"keys": [{"kid": "a", "kty": "RSA", "n": "!", "e": "AQAB"}]}',
        json.dumps({"keys": [jwk("same", EC), jwk("same", OCT)]}),
        json.dumps({"keys": [jwk("short", "fifteen-bytes!!")]}),
        '{"keys": ["a"]}',
        '{"keys": {"a": 1}}',
    ],
)
def test_a_key_set_that_is_of_no_use_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="CINEMA_JWKS_FILE"):
        Tokens(Settings(jwks_file=path))


def test_no_error_repeats_the_token(tokens: Tokens) -> None:
    for token in (signed(exp=1), signed(OCT), "not.a.token"):
        with pytest.raises(NotAllowed) as caught:
            tokens.verify(token)
        assert token not in str(caught.value)


# -- keys that come and go without a restart


def rewrite(path: Path, *keys: dict[str, Any]) -> None:
    """Put another file in its place, as a secret's mount or a careful writer does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": keys}))
    new.replace(path)


def test_a_key_that_is_added_to_the_file_is_taken_without_a_restart(
    tokens: Tokens, key_set: Path
) -> None:
    new = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(NotAllowed):
        tokens.verify(signed(new, "ES256", "next"))
    rewrite(key_set, jwk("r", RSA), jwk("next", new))
    assert tokens.verify(signed(new, "ES256", "next")).user_id == "u"
    assert tokens.verify(signed(RSA, "RS256", "r")).user_id == "u"
    assert tokens.verify(signed()).user_id == "u"


def test_a_key_that_has_left_the_file_opens_nothing_any_more(tokens: Tokens, key_set: Path) -> None:
    rewrite(key_set, jwk("e", EC))
    with pytest.raises(NotAllowed):
        tokens.verify(signed(RSA, "RS256", "r"))


@pytest.mark.parametrize("text", ["", '{"keys": [', '{"keys": []}', None])
def test_a_file_that_is_half_written_or_gone_leaves_the_keys_as_they_were(
    tokens: Tokens, key_set: Path, text: str | None
) -> None:
    if text is None:
        key_set.unlink()
    else:
        key_set.write_text(text)
    assert tokens.verify(signed(RSA, "RS256", "r")).user_id == "u"
    rewrite(key_set, jwk("e", EC))
    assert tokens.verify(signed(EC, "ES256", "e")).user_id == "u"


def test_no_error_of_a_key_set_shows_a_key(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    secret = jwk("h", OCT, alg="HS256")
    path.write_text(json.dumps({"keys": [{**secret, "kty": ""}]}))
    with pytest.raises(SettingsError) as caught:
        Tokens(Settings(jwks_file=path))
    assert secret["k"] not in str(caught.value)
