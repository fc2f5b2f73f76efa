"""Secret names: options, settings, columns, keys and functions whose values are secrets."""

from __future__ import annotations

import re

_KEYS = ("api", "access", "private", "encryption", "signing")
HINTS = (
    *("pass", "pwd", "secret", "token", "credential", "jwt", "scram", "crypt", "hmac", "://", "bearer "),
    "basic ",
    *(f"{of}{separator}key" for of in _KEYS for separator in ("", "_", "-")),
)
"""A text without any of these, in lower case, holds no secret that could be told."""

# Ends of names without separators, in lower case: `user_password`, `sslpassword`, `clientSecret`.
_CREDENTIALS = (
    *("password", "passwd", "passphrase", "passcode", "passfile", "pwd", "secret", "token", "secretkey"),
    *(f"{of}key" for of in _KEYS),
    # libpq's, for foreign data wrappers (PostgreSQL manual, Database Connection Control Functions)
    *("scramclientkey", "scramserverkey", "credential", "credentials", "jwt"),
)
_KEPT_FORM = re.compile(r"(?:hash|hashed|digest|encrypted|plain|plaintext|raw|text|value)$")
_SEPARATORS = re.compile(r"[^a-z0-9]+")

SECRET_FUNCTIONS = frozenset(
    (
        # pgcrypto's (PostgreSQL manual, pgcrypto)
        *("crypt", "hmac", "encrypt", "encrypt_iv", "decrypt", "decrypt_iv", "pgp_sym_encrypt"),
        *("pgp_sym_encrypt_bytea", "pgp_sym_decrypt", "pgp_sym_decrypt_bytea", "pgp_pub_decrypt"),
        "pgp_pub_decrypt_bytea",
    )
)
"""Functions of which an argument is a key or a password."""
KEYED_FUNCTIONS = frozenset(
    (
        *("set_config", "json_build_object", "jsonb_build_object", "json_object", "jsonb_object"),
        *("jsonb_set", "jsonb_insert", "hstore"),
    )
)
"""Functions that take a name as a string, and then its value."""


def is_credential(name: str) -> bool:
    """Whether a value of that name is a secret: `PASSWORD`, `app.api_key`, `reset_token`, `password_hash`."""
    bare = _SEPARATORS.sub("", name.lower())
    return bare.endswith(_CREDENTIALS) or _KEPT_FORM.sub("", bare).endswith(_CREDENTIALS)
