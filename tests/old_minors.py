"""Sweeps on servers that lack a mend of November 2025: `python -m tests.old_minors`.

A DELETE by ctid that has waited for an UPDATE deletes the row's new version there: the scan by ctid isn't
rechecked (src/backend/executor/nodeTidscan.c, TidRecheck). Ends with 1 if anything failed or nothing ran, 2
if a version can't be had.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests import matrix
from tests.servers import server_versions

LAST_WITH_THE_BUG = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
"""By major, the last minor. No 18 had it."""
TESTS = ("tests/sweep/rows/test_turned_real.py",)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.old_minors", description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=server_versions.cache_directory(), help="default: %(default)s"
    )
    options = parser.parse_args()
    try:
        releases = server_versions.releases(LAST_WITH_THE_BUG)
        installed = [
            server_versions.programs(release, options.cache) for _, release in sorted(releases.items())
        ]
    except (OSError, subprocess.SubprocessError) as error:
        parser.exit(2, f"PostgreSQL's programs can't be had: {error}\n")
    outcomes = [matrix.run(programs, TESTS) for programs in installed]
    for outcome in outcomes:
        print(f"PostgreSQL {outcome.version}: {outcome.passed} passed, {outcome.failed} failed")
    return 0 if len(outcomes) == len(LAST_WITH_THE_BUG) and all(one.all_passed for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
