"""What a baseline keeps of rows, and how what became of them is said."""

from __future__ import annotations

import base64
import random
import struct
from dataclasses import replace

import pytest

from pgwatch_tests.leaks.baseline.content import (
    MOST_ROWS_OF_ALL,
    Loss,
    TableContent,
    lost,
    packed,
    row_hashes,
    within_limit,
)

COUNTRIES = TableContent(1, "public", "countries", (("code", "text"),), ("code",), 250)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Loss(3, 1), "3 of 250 rows are gone, 1 changed"),
        (Loss(1), "1 of 250 rows is gone"),
        (Loss(250), "all 250 rows are gone"),
        (Loss(0, 2, example="code=c7"), "2 of 250 rows are changed (such as code=c7)"),
        (Loss(either=4), "4 of 250 rows are gone or changed"),
    ],
)
def test_what_became_of_rows(loss: Loss, words: str) -> None:
    assert lost(COUNTRIES, loss) == words
    assert loss


def test_nothing_lost_and_numbers_with_commas() -> None:
    assert not Loss()
    assert lost(replace(COUNTRIES, rows=1), Loss(1)) == "its only row is gone"
    assert lost(replace(COUNTRIES, rows=12_345), Loss(1_234)) == "1,234 of 12,345 rows are gone"


@pytest.mark.parametrize("with_keys", [True, False])
def test_the_same_rows_in_any_order_are_kept_alike(with_keys: bool) -> None:
    chance = random.Random(str(with_keys))
    rows = [(chance.getrandbits(64) - 2**63, chance.getrandbits(64) - 2**63) for _ in range(50)]
    texts = []
    for _ in range(3):
        chance.shuffle(rows)
        raw = b"".join(struct.pack(">qq", *row) if with_keys else struct.pack(">q", row[1]) for row in rows)
        texts.append(packed(raw, with_keys))
    assert len(set(texts)) == 1
    content = replace(
        COUNTRIES,
        key=("code",) if with_keys else (),
        rows=50,
        total=sum(row for _, row in rows),
        hashes=texts[0],
    )

    found = row_hashes(content)

    assert sorted(found) == sorted(rows if with_keys else [(row, row) for _, row in rows])
    raw = base64.b64decode(texts[0])
    for damaged in (
        replace(content, hashes=texts[0][:-4]),
        replace(content, hashes=f"{texts[0]}!"),
        replace(content, hashes=base64.b64encode(raw[:-1]).decode()),
        replace(content, hashes=base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()),
        replace(content, rows=49),
    ):
        with pytest.raises((ValueError, struct.error)):
            row_hashes(damaged)


def test_the_largest_tables_hashes_are_left_out_first() -> None:
    sizes = [MOST_ROWS_OF_ALL // 2, 10, MOST_ROWS_OF_ALL // 2, 20]
    contents = [replace(COUNTRIES, oid=oid, rows=rows, hashes="x") for oid, rows in enumerate(sizes)]

    kept = within_limit(contents)

    assert [one.rows for one in kept] == sizes
    assert [one.hashes is not None for one in kept] == [True, True, False, True]
