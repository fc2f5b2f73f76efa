"""Checks an installed wheel, run in a directory that holds no checkout: queries, version, a live scan."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from urllib.request import urlopen

import pgwatch_tests
from pgwatch_tests.postgres import queries

COMMAND = Path(sys.executable).parent / "pgwatch-tests"


def output_of(*arguments: str) -> str:
    """stdout of the installed command. Raises CalledProcessError if it fails."""
    return subprocess.run(
        [COMMAND, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    ).stdout


def completed(shell: str, line: str) -> str:
    """What a shell is given for its script, and to complete a line."""
    told = {"source": "", "complete": line}
    return "".join(
        subprocess.run(
            [COMMAND],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            env={**os.environ, "_PGWATCH_TESTS_COMPLETE": f"{shell}_{step}", "COMP_LINE": given},
        ).stdout
        for step, given in told.items()
    )


def repository() -> str:
    """A directory with a package.json."""
    place = Path("repository")
    place.mkdir(exist_ok=True)
    (place / "package.json").write_text('{"devDependencies": {"vitest": "5"}}')
    return str(place)


def served_page() -> str:
    """The page of `serve`, all of whose files are there. Raises AssertionError unless it ends with 0."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    link = process.stdout.readline().strip()
    try:
        page = read(link)
        for name in re.findall(r'(?:src|href)="([\w.]+)"', page):
            for font in re.findall(r'url\("([\w.-]+)"\)', read(link + name)):
                read(link + font)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    return page


def read(url: str) -> str:
    """What is there. Raises HTTPError."""
    with urlopen(url, timeout=60) as response:
        content: bytes = response.read()
    return content.decode("utf-8", "replace")


def main() -> None:
    """Prints a line for each thing that works; ends with an AssertionError at the first that doesn't."""
    package = Path(pgwatch_tests.__file__).parent
    assert "site-packages" in package.parts, package
    assert queries.directory().is_relative_to(package), queries.directory()
    names = queries.names()
    assert names
    for name in names:
        assert queries.load(name).startswith("-- "), name
    print(f"{len(names)} queries load")

    brought = {file.parts[0] for file in files("pgwatch-tests") or ()}
    assert {name for name in brought if not name.endswith(".dist-info")} == {"..", "pgwatch_tests"}, brought
    assert (package / "py.typed").is_file()
    print("the package is typed, and nothing else comes with it")

    version = output_of("--version").strip()
    assert version == f"pgwatch-tests {pgwatch_tests.__version__}", version
    print(version)

    for shell in ("bash", "zsh", "fish"):
        said = completed(shell, "pgwatch-tests locks --format=js")
        assert f"_PGWATCH_TESTS_COMPLETE={shell}_complete" in said, said
        assert said.endswith("plain\tjson\t\n"), said
    print("shells complete by their scripts")

    kit = output_of("init", "vitest", "pytest", "github", "--directory", repository(), "--dry-run")
    assert "+++ b/tests/pgwatch/pgwatch.ts" in kit, kit[:500]
    assert "@@WRITTEN@@" not in kit
    print("the kit's files come with it")

    assert 'data-session-websocket-url="websocket"' in served_page()
    print("the page of a dashboard in a browser comes with it, and what it loads")

    live = output_of("demo", "--once")
    assert "blocks " in live, live
    assert "leaked row" in live, live
    print("a scan of a live server finds blockers and leaks")


if __name__ == "__main__":
    main()
