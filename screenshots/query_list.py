"""queries/README.md: what each SQL file asks or does, from the first lines of the files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "queries"
PATH = FOLDER / "README.md"
_HEAD = """\
# Queries

Made by `python -m screenshots --queries` from the first line of each file: edit the files, not this one.

A statement is a **file** here if its text is always the same but for values, which are parameters:
`queries.load` reads it. In `composed/` are the parts of a sweep's statements that names of tables and
columns go into (`$leaf`): `SweepStatements` fills them in and quotes the names by SQLAlchemy's dialect.
**SQLAlchemy Core** composes and runs the statements on tables of our own, which may be in SQLite or
PostgreSQL (the history of sweeps), and those of the demo's suite. **psycopg.sql** quotes names and literals
in what the server takes no parameters for or reads by name (`SET`, `CREATE SCHEMA`, `ROLLBACK PREPARED`, a
row of a table to be named). Some other statements with foreign names are put together as text where they
are needed, names quoted before: counts of leaks, indexes for them, and what a sweep drops.

`activity.sql`, `waiting_locks.sql` and `locks.sql` take no parameters and run in psql as they are; the
first two are laid out for a person: `psql -f queries/activity.sql`, `psql -x -f queries/waiting_locks.sql`.
The installed package has the files in `pgwatch_tests/_queries`.
"""


def text(folder: Path = FOLDER) -> str:
    """The whole README: one line per SQL file in `folder` and below, a heading per folder.

    Raises ValueError for a file whose first line is no comment.
    """
    paths = sorted(folder.rglob("*.sql"), key=lambda path: (path.parent.relative_to(folder).parts, path.name))
    sections = [_HEAD]
    for parent, files in groupby(paths, key=lambda path: path.parent):
        heading = parent.relative_to(folder).as_posix()
        lines = [] if heading == "." else [f"## {heading}/\n"]
        lines += ["| file | what it asks or does |", "|---|---|"]
        lines += [
            f"| [{path.stem}]({path.relative_to(folder).as_posix()}) | {first_line(path)} |" for path in files
        ]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def first_line(path: Path) -> str:
    """What a query asks or does, by the comment that it begins with. Raises ValueError if there is none."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("-- "):
        raise ValueError(f"{path} doesn't begin with a comment")
    return first.removeprefix("-- ").replace("|", "\\|")
