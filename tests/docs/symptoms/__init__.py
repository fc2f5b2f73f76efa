"""The error messages of docs/faq.md as plays: each ends in its message, and shows what a command says then.

A play gets a stage, and returns the error that it led to. The stage keeps what the commands printed.
"""

from __future__ import annotations

from tests.docs.symptoms import connections, refusals, waits
from tests.docs.symptoms.stage import SYMPTOMS, Symptom, comparable, performed

__all__ = ["SYMPTOMS", "Symptom", "comparable", "connections", "performed", "refusals", "waits"]
