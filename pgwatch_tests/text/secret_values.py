"""Secret values of a statement: the strings and numbers that names mark as secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pgwatch_tests.text.secret_words import KEYED_FUNCTIONS, SECRET_FUNCTIONS, is_credential
from pgwatch_tests.text.sql_tokens import Token

_INTRODUCING = frozenset(("TO", "LIKE", "ILIKE", "IN", "SIMILAR", "BETWEEN", "NOT", "DEFAULT"))
"""Words after a name that a value follows."""
_ENDING = frozenset(
    (
        *("AND", "OR", "WHERE", "FROM", "RETURNING", "SET", "VALID", "ORDER", "GROUP", "HAVING", "LIMIT"),
        *("OFFSET", "UNION", "EXCEPT", "INTERSECT", "ON", "USING", "THEN", "WHEN", "ELSE", "END", "AS"),
        *("WINDOW", "FETCH"),
    )
)
"""Words that end an expression."""
_ARROWS = ("->", "->>", "#>", "#>>")
_LONGEST_NAME = 12  # tokens of a qualified name, with an alias
_FAR = 100
# Expressions that build a statement from parts: `'ALTER ROLE a PASSWORD ' || …`, `format('… PASSWORD %L',
# …)`.
_ASKS_FOR_VALUE = re.compile(
    r"(?<![\w.])(?P<name>[\w.]{1,100}+)(?:\s*[=:]\s*['\"]?|\s+['\"]?)(?:%[\d$-]*[LIs]|\Z)"
)


def secret_tokens(code: Sequence[Token]) -> set[int]:
    """Numbers of the tokens that are secrets. `code` has no comments in it."""
    return _Search(code).secret


class _Search:
    def __init__(self, code: Sequence[Token]) -> None:
        self._code = code
        self.secret: set[int] = set()
        self._opener: dict[int, int] = {}
        """From a closing bracket to its opening one."""
        self._closer: dict[int, int] = {}
        self._marked = range(0)
        """The expression that was marked last: tokens within are done."""
        self._begins: list[str] = []
        """The first word of the statement that each token is in."""
        self._look_around()
        for at, token in enumerate(code):
            if self._names_credential(at):
                self._after_name(at)
                self._before_name(at)
            if token.kind == "literal" and any(
                is_credential(match["name"]) for match in _ASKS_FOR_VALUE.finditer(token.value)
            ):
                self._mark(range(at + 1, len(code)))
            if token.text == "(":
                self._in_call(at)
                self._in_columns(at)

    def _look_around(self) -> None:
        open_ones: list[int] = []
        begins = self._keyword(0)
        for at, token in enumerate(self._code):
            if self._text(at - 1) == ";":
                begins = token.keyword
            self._begins.append(begins)
            if token.text in ("(", "["):
                open_ones.append(at)
            elif token.text in (")", "]") and open_ones:
                self._opener[at] = open_ones.pop()
                self._closer[self._opener[at]] = at

    def _names_credential(self, at: int) -> bool:
        token = self._code[at]
        if token.kind == "literal":
            # A key of a document: `data ->> 'password' = …`.
            return self._text(at - 1) in _ARROWS and is_credential(token.value)
        return token.kind in ("word", "quoted") and is_credential(token.value)

    def _after_name(self, number: int) -> None:
        at = number + 1
        if self._kind(at) == "literal":
            while self._kind(at) == "literal":  # strings on successive lines are one
                self.secret.add(at)
                at += 1
            return
        at = self._after_call(at)
        if (self._kind(at) == "operator" and self._text(at) != "::") or self._keyword(at) in _INTRODUCING:
            if self._is_setting(number):
                # SET app.password = hunter2: a value without quotes.
                self.secret.update(n for n in self._expression(at + 1) if self._keyword(n) != "DEFAULT")
            else:
                self._mark(self._expression(at + 1))

    def _is_setting(self, at: int) -> bool:
        """Whether the name at `at` is that of a setting: of SET, or of an ALTER … SET."""
        while at > 0 and self._is_of_name(at - 1) and self._keyword(at - 1) != "SET":
            at -= 1
        return self._keyword(at - 1) == "SET" and self._begins[at] in ("SET", "ALTER")

    def _after_call(self, at: int) -> int:
        """The token after what else belongs to the side of a comparison on which the name is."""
        ahead = at
        while ahead < at + _FAR and (
            self._kind(ahead) in ("word", "quoted", "number", "parameter") or self._text(ahead) in (",", ".")
        ):
            ahead += 1
        if self._text(ahead) == ")" and self._text(at) in (",", ")"):
            at = ahead
        while True:
            if self._text(at) == ")":
                at += 1
            elif self._text(at) == "::":
                at += 2
                while self._text(at) in (".", "[", "]") or self._kind(at) in ("quoted", "number"):
                    at += 1
            elif self._text(at) == "[" and at in self._closer:
                at = self._closer[at] + 1
            else:
                return at

    def _before_name(self, at: int) -> None:
        """`'…' = u.password`, `'…'::text AS password`."""
        for _ in range(_LONGEST_NAME):
            if self._keyword(at - 1) in _ENDING or not self._is_of_name(at - 1):
                break
            at -= 1
        before = at - 1
        compares = self._kind(before) == "operator" and self._text(before) not in ("::", *_ARROWS)
        if not compares and self._keyword(before) != "AS":
            return
        before -= 1
        if self._kind(before) == "word" and self._text(before - 1) == "::":
            before -= 2
        if before in self._opener:
            self._mark(range(self._opener[before], before))
        elif self._kind(before) in ("literal", "number"):
            self.secret.add(before)
            if self._keyword(before - 1) == "UESCAPE":
                self.secret.add(before - 2)

    def _in_call(self, at: int) -> None:
        function = self._code[at - 1].value.lower() if self._kind(at - 1) in ("word", "quoted") else ""
        inside = range(at + 1, self._closer.get(at, len(self._code)))
        if function in SECRET_FUNCTIONS:
            self._mark(inside)
        elif function in KEYED_FUNCTIONS:
            key = at + 1
            while key < inside.stop:
                if self._kind(key) == "literal" and is_credential(self._code[key].value):
                    self._mark(self._expression(key + 2))
                key = self._after(key)

    def _in_columns(self, at: int) -> None:
        """Columns in brackets, and what is given to them by its place or at another one."""
        # What the server has cut off within this bracket ends it.
        end = self._closer.get(at, len(self._code))
        if not all(
            self._is_of_name(number) or self._text(number) in (",", "[", "]") for number in range(at + 1, end)
        ):
            return
        places = [place for place, part in enumerate(self._places(at)) if self._holds_credential(part)]
        if not places:
            # The name of a credential may be what was cut off.
            if at not in self._closer and self._keyword(self._rows_before(at).start + 1) == "VALUES":
                self._mark(self._rows_before(at))
            return
        if self._is_insert(at):
            # OVERRIDING SYSTEM VALUE may come before.
            values = next((n for n in range(end + 1, end + 5) if self._keyword(n) == "VALUES"), None)
            if values is None:
                self._mark(range(end, len(self._code)))
            else:
                self._mark_rows(values + 1, places)
        elif self._keyword(end + 1) == "AS":
            # WITH new (id, password) AS (VALUES …)
            opening = next((n for n in range(end + 2, end + 5) if self._text(n) == "("), len(self._code))
            self._mark(range(opening, self._closer.get(opening, len(self._code))))
        else:
            self._mark(self._rows_before(at))

    def _rows_before(self, at: int) -> range:
        """The rows whose columns this bracket names: `(VALUES …) AS new (id, password)`; empty if none."""
        before = at - 2 - (self._keyword(at - 2) == "AS")
        return range(self._opener[before], before) if before in self._opener else range(0)

    def _is_insert(self, at: int) -> bool:
        """Whether what is before this bracket is `INSERT INTO name` or a MERGE's `INSERT`."""
        for before in range(at - 1, at - _LONGEST_NAME, -1):
            if self._keyword(before) in ("INTO", "INSERT"):
                return True
            if not self._is_of_name(before):
                return False
        return False

    def _mark_rows(self, at: int, places: Sequence[int]) -> None:
        while self._text(at) == "(":
            for place, part in enumerate(self._places(at)):
                if place in places:
                    self._mark(part)
            if at not in self._closer or self._text(self._closer[at] + 1) != ",":
                return
            at = self._closer[at] + 2

    def _places(self, at: int) -> Iterator[range]:
        """Returns the tokens between the commas of a bracket."""
        end = self._closer.get(at, len(self._code))
        begin = number = at + 1
        while number < end:
            if self._text(number) == ",":
                yield range(begin, number)
                begin = number + 1
            number = self._after(number)
        yield range(begin, end)

    def _expression(self, at: int) -> range:
        """The tokens from here to the end of an expression."""
        begin = at
        while at < len(self._code):
            token = self._code[at]
            if token.text in (",", ";", ")", "]") or token.keyword in _ENDING:
                break
            if at in self._marked:
                return range(begin, self._marked.stop)
            at = self._after(at)
        return range(begin, min(at, len(self._code)))

    def _after(self, at: int) -> int:
        """The next token, or the one after a bracket that begins here."""
        if self._text(at) not in ("(", "["):
            return at + 1
        return self._closer.get(at, len(self._code)) + 1

    def _holds_credential(self, part: range) -> bool:
        return any(is_credential(self._code[number].value) for number in part)

    def _mark(self, numbers: range) -> None:
        if not numbers or (numbers[0] in self._marked and numbers[-1] in self._marked):
            return
        self._marked = numbers
        self.secret.update(number for number in numbers if self._kind(number) in ("literal", "number"))

    def _is_of_name(self, at: int) -> bool:
        return self._kind(at) in ("word", "quoted") or self._text(at) == "."

    def _kind(self, at: int) -> str:
        return self._code[at].kind if 0 <= at < len(self._code) else ""

    def _text(self, at: int) -> str:
        return self._code[at].text if 0 <= at < len(self._code) else ""

    def _keyword(self, at: int) -> str:
        return self._code[at].keyword if 0 <= at < len(self._code) else ""
