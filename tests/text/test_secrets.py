"""Secrets in statements, names and messages: none survives, and what is none is left alone."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgwatch_tests.text.secrets import mask_arguments, mask_name, mask_statement, mask_text
from tests.examples import examples

SECRET = "hunter2Secret"
# Where a secret stands as a string of SQL.
STATEMENTS = (
    "ALTER ROLE a PASSWORD {}",
    "alter user a with encrypted password {} valid until '2027-01-01'",
    "ALTER ROLE a PASSWORD /* new: /* of */ today */ {}",
    "ALTER ROLE a PASSWORD -- here\n {}",
    "ALTER ROLE a PASSWORD 'part'\n {}",
    "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'a', password {}, sslmode 'require')",
    "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET password {}, ADD sslpassword {}, ADD passcode {})",
    'ALTER SERVER s OPTIONS (SET client_secret {}, ADD "access_token" {})',
    "SET app.api_key TO {}",
    "ALTER DATABASE d SET app.jwt = {}",
    "SELECT set_config('app.password', {}, false)",
    "SELECT * FROM users WHERE email = 'a' AND password = {}",
    "SELECT * FROM users WHERE lower(u.password::text) <> ALL (ARRAY[{}, {}])",
    "SELECT * FROM users WHERE substr(password, 1, 5) LIKE {} || '%'",
    'SELECT * FROM users WHERE {} = u."Password" AND what_is_cut_off IS NOT NULL OR true',
    "SELECT * FROM users WHERE (email, password) IN (('a', {}), ('b', {}))",
    "SELECT {}::text AS password, what_is_cut_off FROM here_on_and_to_the_end",
    "SELECT * FROM users WHERE document ->> 'password' = {}",
    "SELECT crypt({}, gen_salt('bf')), pgp_sym_encrypt('x', {})",
    "SELECT jsonb_build_object('user', 'a', 'password', {})",
    "INSERT INTO public.users AS u (email, password) VALUES ('a', {}), ('b', md5({}))",
    "INSERT INTO users (email, encrypted_password) OVERRIDING USER VALUE VALUES ('a', {}",
    "INSERT INTO users (email, reset_token) SELECT 'a', {}",
    "MERGE INTO users u USING new n ON true WHEN NOT MATCHED THEN INSERT (id, token) VALUES (1, {})",
    "WITH new (id, password) AS (VALUES (1, {})) SELECT 1",
    "UPDATE users SET name = 'a' FROM (VALUES (1, {})) AS n (id, password) WHERE cut_off_from = here_on",
    "UPDATE users SET name = 'a', password = concat('x', {}) WHERE id = 1",
    "DO $do$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'a', {}); END $do$",
    "SELECT dblink_exec('ALTER ROLE a PASSWORD ' || quote_literal({}))",
    "SELECT 1; ALTER ROLE a PASSWORD {}; SELECT 2",
)
# Read in two ways, by standard_conforming_strings.
AMBIGUOUS = "SELECT 'it\\'s one \\\\' AS a; ALTER ROLE a PASSWORD {}"
# Where it stands within a string of SQL.
STRINGS = (
    "host=h password={} user=u",
    "host = h password = {} user = u",
    "user=u password='{}' host=h",
    "postgresql://u:{}@h:5432/d?sslmode=require",
    "postgresql://u@h/d?password={}&sslmode=require",
    "PGPASSWORD={} pg_dump -h h",
    "curl -H 'Authorization: Bearer {}' https://u:{}@h/",
    '{{"user": "a", "password": "{}"}}',
    "ALTER ROLE a PASSWORD '{}'",
    "DO $x$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''{}'''; END $x$",
)
AROUND_STRINGS = (
    "SELECT dblink_connect({})",
    "CREATE SUBSCRIPTION s CONNECTION {} PUBLICATION p",
    "ALTER SYSTEM SET primary_conninfo = {}",
    "COPY t FROM PROGRAM {}",
    "INSERT INTO notes VALUES (1, {})",
)
ORDINARY = (
    "SELECT password, name FROM users WHERE email = 'a@test.example.com' AND id = 5",
    "SELECT column_name FROM columns WHERE column_name IN ('password', 'email') AND x = 'y'",
    "ALTER ROLE a VALID UNTIL '2027-01-01'",
    "ALTER ROLE a PASSWORD NULL",
    "SET password_encryption = 'scram-sha-256'",
    "UPDATE users SET password = $1, name = 'a' WHERE reset_token = $2 AND email = 'b'",
    "DELETE FROM tokens WHERE owner = 'a' AND token_count > 5",
    "DELETE FROM token WHERE id = 'a'",
    "INSERT INTO users (email, name) VALUES ('password', 'secret')",
    "SELECT * FROM keys WHERE access_key IS NOT NULL AND name LIKE 'a%' FOR NO KEY UPDATE",
    "SELECT * FROM pages WHERE url = 'https://h.test.example.com:8080/a?mail=a@b.example.com'",
    "SET SESSION AUTHORIZATION 'a'",
    "SELECT 'it''s'  ,\n\t$q$a 'b' $1$q$, \"c\"\"d\" -- 'passwords' are kept elsewhere\n",
    "SELECT token, 'a' FROM t ORDER BY token LIMIT 5",
)


def quotings(secret: str) -> list[str]:
    doubled = secret.replace("'", "''")
    backslashed = secret.replace("\\", "\\\\").replace("'", "\\'")
    found = [f"'{doubled}'", f"E'{backslashed}'", f"e'{backslashed}'", f"U&'{doubled}' UESCAPE '!'"]
    return found + [f"{tag}{secret}{tag}" for tag in ("$$", "$Tag_1$") if "$" not in secret]


# Recognised in whatever is left: what surrounds it has no such letters.
secrets = st.text("'\\$%{}()=;,:-/*\"ä☃ @" + string.ascii_letters, max_size=12).map(
    lambda noise: f"{SECRET}{noise}{SECRET}"
)


@given(st.sampled_from(STATEMENTS), secrets, st.integers(0, 5), st.integers(0, 40))
def test_no_secret_of_a_statement_survives(statement: str, secret: str, number: int, cut: int) -> None:
    written = quotings(secret)[number % len(quotings(secret))]
    # A brace of the secret is none of the template's.
    whole = statement.replace("{}", written)
    for text in (whole, whole[: len(whole) - cut]):
        masked = mask_statement(text)
        assert SECRET not in masked
        assert mask_statement(masked) == masked


@given(secrets, st.integers(0, 5))
@example(f"{SECRET}\\'{SECRET}", 0)
def test_a_string_that_may_end_in_two_places_hides_none(secret: str, number: int) -> None:
    written = quotings(secret)[number % len(quotings(secret))]
    assert SECRET not in mask_statement(AMBIGUOUS.replace("{}", written))


def test_a_string_follows_its_keyword_without_space() -> None:
    assert mask_statement(f"CREATE ROLE a LOGIN PASSWORD'{SECRET}'") == "CREATE ROLE a LOGIN PASSWORD'***'"


@given(
    st.sampled_from(AROUND_STRINGS),
    st.sampled_from(STRINGS),
    st.text("!#$%*+-.,;ä" + string.ascii_letters, max_size=8),
    st.integers(0, 3),
    st.integers(0, 40),
)
@example(AROUND_STRINGS[0], STRINGS[3], "", 0, 16)
def test_no_secret_within_a_string_survives(
    statement: str, inside: str, noise: str, number: int, cut: int
) -> None:
    value = inside.replace("{{", "{").replace("}}", "}").replace("{}", f"{SECRET}{noise}{SECRET}")
    written = quotings(value)[number]
    whole = statement.replace("{}", written)
    for text in (whole, whole[: len(whole) - cut]):
        masked = mask_statement(text)
        assert SECRET not in masked
        assert mask_statement(masked) == masked


@pytest.mark.parametrize("keywords", ["PASSWORD", "password", "PaSsWoRd"])
def test_case_doesnt_matter(keywords: str) -> None:
    assert mask_statement(f"ALTER ROLE a {keywords} '{SECRET}'") == f"ALTER ROLE a {keywords} '***'"


@pytest.mark.parametrize("statement", ORDINARY)
def test_what_is_no_secret_stays(statement: str) -> None:
    assert mask_statement(statement) == statement


@given(st.text("aE'\"$ \\()-*/,;:=1ä\n"))
def test_a_text_without_such_names_stays(text: str) -> None:
    assert mask_statement(text) == text
    # The whole lexer, as there is a hint that something may be hidden.
    assert mask_statement(f"SELECT passive; {text}").removeprefix("SELECT passive; ") == text


def test_the_rest_of_the_statement_stays() -> None:
    assert (
        mask_statement(
            "INSERT INTO users (email, password, name) VALUES ('a', 'hunter2', 'b'), ('c', 'hunter2', 'd')"
        )
        == "INSERT INTO users (email, password, name) VALUES ('a', '***', 'b'), ('c', '***', 'd')"
    )
    assert mask_statement(f"SELECT dblink('host=h password={SECRET} user=u', 'SELECT ''a''')") == (
        "SELECT dblink('host=h password=*** user=u', 'SELECT ''a''')"
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Key (email, password)=(a, hunter2) already exists.", "Key (email, password)=(***) already exists."),
        ("Key (email)=(a) already exists.", "Key (email)=(a) already exists."),
        ('password authentication failed for user "a"', 'password authentication failed for user "a"'),
        ("cannot reach postgres://u:hunter2@h/d", "cannot reach postgres://u:***@h/d"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("bad option password=hunter2", "bad option password=***"),
        ("curl --token hunter2 -v", "curl --token *** -v"),
        ("psql --no-password app -v", "psql --no-password app -v"),
    ],
)
def test_messages(message: str, shown: str) -> None:
    assert mask_text(message) == shown


def test_arguments() -> None:
    """An option and its value may be two of them."""
    shown = ["app", "--token", "***", "-v", "--db-password=***", "--password", "-x", "sh", "-c", "a --key b"]
    arguments = [*shown[:2], "hunter2", "-v", "--db-password=hunter2", *shown[5:]]
    assert mask_arguments(arguments) == tuple(shown)
    assert mask_arguments(["psql", "--no-password", "app"]) == ("psql", "--no-password", "app")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("worker of postgres://u:hunter2@h/d", "worker of postgres://u:***@h/d"),
        ("app password=hunter2", "app password=***"),
        # A parameter of a test is no secret, and its name must still be found in the suite.
        ("pytest:gw0 t.py::test_login[password=a]", "pytest:gw0 t.py::test_login[password=a]"),
        ("pgwatch-tests", "pgwatch-tests"),
    ],
)
def test_names(name: str, shown: str) -> None:
    assert mask_name(name) == shown


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "token = ",
            "token, ",
            "token ",
            "crypt(",
            "hstore('a', ",
            "(token",
            "((",
            "'token ",
            "token=",
            "a=b ",
        ),
        *(
            "://a:",
            "://",
            "()=(",
            '"token": ',
            "/* token ",
            "$a$ token ",
            "SET token = a, ",
            "token)",
            "a" * 50,
        ),
        *(
            "INSERT INTO t (token) ",
            "'\\'token",
            "password = (",
            "pass",
            "'' token",
            "[token] = ",
            "'token %L' ",
        ),
    ],
)
def test_a_long_hostile_statement_is_read_in_a_moment(unit: str) -> None:
    statement = f"token {unit * (examples(60_000) // len(unit))}"
    begun = time.process_time()
    mask_statement(statement)
    assert time.process_time() - begun < 5.0


def test_what_is_too_long_to_be_read_isnt_shown() -> None:
    statement = f"SELECT '{'a' * 60_000}'; ALTER ROLE a PASSWORD '{SECRET}'"
    assert SECRET not in mask_statement(statement)
    harmless = f"SELECT '{'a' * 60_000}'"
    assert mask_statement(harmless) == harmless


@given(st.lists(st.sampled_from([*STATEMENTS, "'", "$$", "/*", "\\", '"', "E'", "(", ")", "--"]), max_size=6))
def test_pieces_in_any_order_are_read(parts: list[str]) -> None:
    assert mask_statement("".join(parts)).count("***") <= sum(part.count("{}") + 6 for part in parts)
