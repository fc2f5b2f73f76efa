"""Lockfiles of Node's package managers, in the forms that they have had."""

from __future__ import annotations

import pytest

from pgwatch_tests.kit.lockfiles import Version, locked_version, parse_version

NPM_3 = '{"lockfileVersion": 3, "packages": {"": {}, "node_modules/vitest": {"version": "4.1.12"}}}'
NPM_1 = '{"lockfileVersion": 1, "dependencies": {"vitest": {"version": "3.2.4"}}}'
PNPM_9 = """lockfileVersion: '9.0'

importers:

  .:
    devDependencies:
      vitest:
        specifier: ^5.0.0
        version: 5.1.2(@types/node@22.1.0)

  apps/web:
    devDependencies:
      '@playwright/test':
        specifier: ^1.60.0
        version: 1.65.1
      vitest:
        specifier: ^3.0.0
        version: 3.2.4

packages:

  vitest@5.1.2:
    resolution: {integrity: sha512-x}
"""
PNPM_5 = "lockfileVersion: 5.4\n\nspecifiers:\n  vitest: ^0.34.0\n\ndevDependencies:\n  vitest: 0.34.6\n"
YARN_1 = """# yarn lockfile v1

"@playwright/test@^1.60":
  version "1.65.1"

vitest@^4.0.0, vitest@^4.1:
  version "4.1.12"
"""
YARN_4 = (
    '__metadata:\n  version: 8\n\n"vitest@npm:^4.1":\n  version: 4.1.12\n  resolution: "vitest@npm:4.1.12"\n'
)
BUN = '{\n  "lockfileVersion": 1,\n  "packages": {\n    "vitest": ["vitest@5.1.2", "", {}],\n  }\n}\n'


@pytest.mark.parametrize(
    ("lockfile", "text", "package", "importer", "version"),
    [
        ("package-lock.json", NPM_3, "vitest", ".", (4, 1, 12)),
        ("npm-shrinkwrap.json", NPM_1, "vitest", ".", (3, 2, 4)),
        ("package-lock.json", NPM_3, "vite", ".", None),
        ("package-lock.json", "{", "vitest", ".", None),
        ("package-lock.json", "[1]", "vitest", ".", None),
        ("pnpm-lock.yaml", PNPM_9, "vitest", ".", (5, 1, 2)),
        ("pnpm-lock.yaml", PNPM_9, "vitest", "apps/web", (3, 2, 4)),
        ("pnpm-lock.yaml", PNPM_9, "@playwright/test", "apps/web", (1, 65, 1)),
        ("pnpm-lock.yaml", PNPM_5, "vitest", ".", (0, 34, 6)),
        ("yarn.lock", YARN_1, "vitest", ".", (4, 1, 12)),
        ("yarn.lock", YARN_1, "@playwright/test", ".", (1, 65, 1)),
        ("yarn.lock", YARN_4, "vitest", ".", (4, 1, 12)),
        ("bun.lock", BUN, "vitest", ".", (5, 1, 2)),
        ("bun.lockb", "\x00binary", "vitest", ".", None),
    ],
)
def test_a_locked_version(
    lockfile: str, text: str, package: str, importer: str, version: Version | None
) -> None:
    assert locked_version(lockfile, text, package, importer) == version


def test_a_version_of_a_range() -> None:
    ranges = ["^4.1", ">=5.0.0-beta.1 <6", "workspace:*", "latest", "~3"]
    assert [parse_version(one) for one in ranges] == [(4, 1, 0), (5, 0, 0), None, None, (3, 0, 0)]
