"""Lockfiles of Node's package managers: which manager a repository has, and the versions it has locked. Pure.

Formats: package-lock.json (npm, versions 1 to 3), pnpm-lock.yaml (5 to 9), yarn.lock (classic and Berry),
bun.lock (text). Of the binary bun.lockb only the manager is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal

PackageManager = Literal["npm", "pnpm", "yarn", "bun"]
Version = tuple[int, int, int]

LOCKFILES: Mapping[str, PackageManager] = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
"""By their names; where several lie side by side, the first one counts."""
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")


def parse_version(text: str) -> Version | None:
    """Returns the first version in a text, a range's too: (4, 1, 0) of `^4.1`. None if there is none."""
    match = _VERSION.search(text)
    return None if match is None else (int(match[1]), int(match[2] or 0), int(match[3] or 0))


def locked_version(lockfile: str, text: str, package: str, importer: str = ".") -> Version | None:
    """Returns the version of a package that the lockfile of this name and text has; None if it has none.

    `importer` is the package's own directory in a pnpm workspace, below the lockfile's.
    """
    manager = LOCKFILES[lockfile]
    found: str | None = None
    if manager == "npm":
        found = _of_npm(text, package)
    elif manager == "pnpm":
        found = _of_pnpm(text, package, importer)
    elif manager == "yarn":
        name = re.escape(package)
        match = re.search(rf'^"?{name}@[^\n]*:\n  version:? "?([^"\s]+)', text, re.MULTILINE)
        found = match and match[1]
    elif lockfile == "bun.lock":
        match = re.search(
            rf'^\s+"{re.escape(package)}": \["{re.escape(package)}@([^"]+)"', text, re.MULTILINE
        )
        found = match and match[1]
    return parse_version(found) if found else None


def _of_npm(text: str, package: str) -> str | None:
    try:
        document: object = json.loads(text)
    except ValueError:
        return None
    for key, name in (("packages", f"node_modules/{package}"), ("dependencies", package)):
        some = document.get(key) if isinstance(document, dict) else None
        one = some.get(name) if isinstance(some, dict) else None
        version = one.get("version") if isinstance(one, dict) else None
        if isinstance(version, str):
            return version
    return None


def _of_pnpm(text: str, package: str, importer: str) -> str | None:
    # Indented blocks are all that is needed of YAML.
    blocks = re.split(r"^  (?=\S)", text.partition("\nimporters:\n")[2], flags=re.MULTILINE)
    own = next((one for one in blocks if one.partition(":")[0].strip("'\"") == importer), text)
    name = rf"^\s+'?{re.escape(package)}'?:"
    match = re.search(
        rf"{name}\n\s+specifier: [^\n]*\n\s+version: ([^\s(]+)", own, re.MULTILINE
    ) or re.search(rf"{name} ([0-9][^\s(]*)", own, re.MULTILINE)
    return match and match[1]
