"""Workflow commands in a CI's log: other people's text that a runner would obey is shown as plain text. Pure.

GitHub's runner obeys `::error::…` and `::add-mask::…` at the beginning of a line, spaces before it left out,
and `##[add-mask]…` anywhere in one (actions/runner, src/Runner.Common/ActionCommand.cs). Azure Pipelines
obeys `##vso[…]` and `##[…]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_COMMAND = re.compile(r"(?P<begin>(?:\A|(?<=[\r\n]))\s*):(?=:)|#(?=#(?:vso)?\[)")
_LOGS = {"GITHUB_ACTIONS": "true", "TF_BUILD": "true"}


def has_commands(environ: Mapping[str, str]) -> bool:
    """Whether the output is the log of a CI that takes commands from it."""
    return any(environ.get(name, "").lower() == value for name, value in _LOGS.items())


def without_commands(text: str) -> str:
    """Returns the text with the first character of each command shown as a code: `\\u003a:error::`.

    A JSON document stays the same document: there the code stands for the character.
    """
    if "::" not in text and "##" not in text:
        return text
    return _COMMAND.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    return f"{match['begin']}\\u003a" if match["begin"] is not None else "\\u0023"
