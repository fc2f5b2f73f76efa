"""The reference of the linter's rules in docs/lint.md, made of what `lint --explain` prints."""

from __future__ import annotations

from pathlib import Path

from pgwatch_tests.lint.rules import RULES

PATH = Path(__file__).parent.parent / "docs" / "lint.md"
_BEGIN, _END = "<!-- output: rules -->\n", "<!-- end -->"


def filled(text: str) -> str:
    """A page with its reference filled in."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{_reference()}{_END}{after}"


def _reference() -> str:
    table = ["| rule | finds |", "|---|---|"]
    table += [f"| [{rule.id}](#{rule.id}) | {rule.summary} |" for rule in RULES.values()]
    table.append("")
    for rule in RULES.values():
        code = rule.explanation.replace("```python", "```text").rstrip()
        table += [f"### {rule.id}", "", rule.summary, "", code, "", f"→ {rule.help}", ""]
    return "\n".join(table)
