"""The test that a statement names in a comment, as any language can put it there. Pure.

    /*test='spec%2Fbooking_spec.rb%20books'*/ INSERT INTO bookings …
    SELECT … /*action='books',test='spec%2Fbooking_spec.rb%20books'*/

That is sqlcommenter's form (its specification, "Serializing"): keys and values URL-encoded, a quote in one
as `\\'`, several pairs with commas between them. The value is a test's id, or a whole session name such as
`rspec:3 spec/booking_spec.rb`. What stands in a string or in quotes is no comment. PostgreSQL shows the first
1,024 bytes of a statement (track_activity_query_size): a comment at its beginning is never cut off.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from pgwatch_tests.identity.application_name import TestIdentity, parse

_PART = re.compile(
    r"""
      (?P<quoted> '(?:[^']|'')*+' | "(?:[^"]|"")*+" | (?P<dollar>\$(?:[A-Za-z_]\w*+)?\$).*?(?P=dollar) )
    | --[^\n]*+
    | /\*(?P<comment>.*?)\*/
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIR = re.compile(r"(?:^|,)\s*test\s*=\s*'(?P<value>(?:[^'\\]|\\.)*+)'\s*(?=,|$)", re.DOTALL)
_LONGEST = 4_000  # characters: beyond, a statement isn't looked at
_LONGEST_TEST = 1_000


@lru_cache(maxsize=1024)
def commented_test(statement: str) -> TestIdentity | None:
    """Returns the test that a comment of a statement names; the first, if several do; None if none does."""
    if "/*" not in statement or "test" not in statement:
        return None
    for part in _PART.finditer(statement[:_LONGEST]):
        pair = _PAIR.search(part["comment"] or "")
        if pair is None:
            continue
        test = unquote(re.sub(r"\\(.)", r"\1", pair["value"])).strip()[:_LONGEST_TEST]
        if test:
            return parse(test) or TestIdentity("", "", test)
    return None
