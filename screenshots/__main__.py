"""Command line of the package: see its docstring."""

from __future__ import annotations

import argparse

from pgwatch_tests.record.snapshot_file import load, save
from screenshots import readme
from screenshots.pictures import FOLDER, RECORDING, draw


def main() -> None:
    """Draws the pictures and fills in README."""
    parser = argparse.ArgumentParser(prog="python -m screenshots")
    parser.add_argument("--record", action="store_true", help="record the demo first")
    if parser.parse_args().record:
        from screenshots.recording import record

        save(record(), RECORDING)
    recording = load(RECORDING)
    for name, picture in draw(recording).items():
        (FOLDER / name).write_text(picture, encoding="utf-8")
    readme.PATH.write_text(
        readme.filled(readme.PATH.read_text(encoding="utf-8"), recording), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
