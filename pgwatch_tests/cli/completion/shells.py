"""Completion scripts of bash, zsh and fish, and what they ask.

Click's own scripts lose what comes after a comma in a description (fish), take `--format=js` for a word that
they replace whole (zsh) or can't complete (bash, fish), and count a connection string as three words (bash).
Ours hand over the line up to the cursor, which is split here; an answer is a line `type TAB value TAB help`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

_SCRIPTS: Final = Path(__file__).parent
_CURSOR: Final = "\N{REPLACEMENT CHARACTER}"


class _WholeLine(ShellComplete):
    """What the scripts have in common."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Returns the words before the cursor's, and what there is of that one."""
        # A last word is there also where the line ends in a blank.
        *words, last = split_arg_string(os.environ.get("COMP_LINE", "") + _CURSOR)
        own = next((n for n, word in enumerate(words) if Path(word).name == self.prog_name), 0)
        return words[own + 1 :], last.removesuffix(_CURSOR)

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Returns the line of one answer."""
        words = (item.type, str(item.value), item.help or "")
        return "\t".join(" ".join(word.split()) for word in words)


class _Bash(_WholeLine, BashComplete):
    source_template = (_SCRIPTS / "bash.sh").read_text(encoding="utf-8")


class _Zsh(_WholeLine, ZshComplete):
    source_template = (_SCRIPTS / "zsh.sh").read_text(encoding="utf-8")


class _Fish(_WholeLine, FishComplete):
    source_template = (_SCRIPTS / "fish.fish").read_text(encoding="utf-8")


def offer() -> None:
    """Puts these in the place of click's."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
