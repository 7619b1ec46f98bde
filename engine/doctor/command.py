"""`jm-engine doctor`: prints the page, or the same as JSON. Exit code 1 where something is bad, else 0."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from . import Finding, examine
from .checks import CHECKS
from .system import System

MARKS = {"ok": "fine", "warn": "note", "bad": "BAD", "unknown": "?"}


def main(arguments: Sequence[str]) -> int:
    """Examine this machine; `arguments` follow `jm-engine doctor`."""
    parser = argparse.ArgumentParser("jm-engine doctor", description="Say what is fine here, and what mends the rest.")
    parser.add_argument("--json", action="store_true", help="a list of {subject, level, what, remedy}")
    options = parser.parse_args(arguments)
    findings = examine(System(), CHECKS)
    print(json.dumps([asdict(finding) for finding in findings], indent=1) if options.json else page(findings))
    return int(any(finding.level == "bad" for finding in findings))


def page(findings: Sequence[Finding]) -> str:
    """One line per finding, and one with the remedy where there is one."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level]:4}  {finding.subject:{width}}  {finding.what}")
        if finding.remedy is not None:
            lines.append(f"{'':{width + 6}}  -> {finding.remedy}")
    return "\n".join(lines)
