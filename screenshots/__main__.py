"""Command line of the package: see its docstring."""

from __future__ import annotations

import argparse

from screenshots import lint_rules, query_list, races, readme, reference, replay, report_page, shown_reports
from screenshots.pictures import FOLDER, draw
from screenshots.recording import LARGE_SWEEP, RECORDING, load, save
from screenshots.reference import diagnoses


def main() -> None:
    """Draws the pictures, fills in README and lists the queries."""
    parser = argparse.ArgumentParser(prog="python -m screenshots")
    parser.add_argument("--record", action="store_true", help="record the demo first")
    parser.add_argument("--record-large", action="store_true", help="record a sweep of 500 tables first")
    parser.add_argument("--record-races", action="store_true", help="record what interleave finds first")
    parser.add_argument(
        "--queries", action="store_true", help="write queries/README.md and the rules in docs/lint.md alone"
    )
    parser.add_argument("--without-browser", action="store_true", help="leave the report's pictures alone")
    parser.add_argument("--record-diagnoses", action="store_true", help="record scenarios of locks first")
    parser.add_argument(
        "--reference", action="store_true", help="write what is made of the code in docs/reference alone"
    )
    parser.add_argument("--record-faq", action="store_true", help="play what docs/faq.md shows first")
    options = parser.parse_args()
    if options.record_faq:
        from screenshots import faq

        faq.write()
    if options.record_diagnoses:
        diagnoses.record()
    if options.reference:
        reference.write()
        if not options.queries:
            return
    query_list.PATH.write_text(query_list.text(), encoding="utf-8")
    rules = lint_rules.filled(lint_rules.PATH.read_text(encoding="utf-8"))
    lint_rules.PATH.write_text(rules, encoding="utf-8")
    if options.queries:
        return
    reference.write()
    if options.record:
        from screenshots.demo_recording import record

        save(record(), RECORDING)
    if options.record_large:
        from screenshots import large_sweep

        save(large_sweep.record(), LARGE_SWEEP)
    if options.record_races:
        races.save(races.record())
    recording, large, found = load(RECORDING), load(LARGE_SWEEP), races.load()
    for name, picture in (draw(recording) | replay.draw()).items():
        (FOLDER / name).write_text(picture, encoding="utf-8")
    if not options.without_browser:
        for name, drawn in report_page.draw().items():
            (FOLDER / name).write_bytes(drawn)
    for page in readme.PAGES:
        text = readme.filled(page.read_text(encoding="utf-8"), recording, large, found)
        page.write_text(text, encoding="utf-8")
    for page, text in shown_reports.pages():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
