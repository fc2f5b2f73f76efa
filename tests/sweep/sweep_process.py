"""Sweeps one database, for tests that kill whoever does: `python -m tests.sweep.sweep_process DSN`.

Says `sweeping` once rows are gone, and how many in the end.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from pgwatch_tests.sweep.model import SweepProgress
from tests.sweep.rows.bookings import REQUEST, swept

if __name__ == "__main__":
    said: list[str] = []

    def tell(progress: SweepProgress) -> None:
        if progress.rows and not said:
            said.append("sweeping")
            print("sweeping", flush=True)

    # Small batches, so that there is a middle to be killed in.
    print(swept(sys.argv[1], replace(REQUEST, clusters_at_once=10), tell).deleted_rows, flush=True)
