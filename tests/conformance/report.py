"""What Autobahn's suite reports, as a table and in its own words."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

_WORDS = ("description", "expectation", "result", "resultClose")


class Verdict(Enum):
    """How a case ended, as the suite calls it; each of its other words for a fault counts as FAILED."""

    OK = "OK"
    INFORMATIONAL = "INFORMATIONAL"
    NON_STRICT = "NON-STRICT"
    FAILED = "FAILED"
    UNIMPLEMENTED = "UNIMPLEMENTED"

    @classmethod
    def of(cls, word: str) -> Verdict:
        """The verdict that a word of the suite counts as."""
        return next((verdict for verdict in cls if verdict.value == word), cls.FAILED)

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be mended."""
        return self in (Verdict.OK, Verdict.INFORMATIONAL)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case against one side.

    Attributes:
        side: "server" or "client".
        case: Its number, such as "9.1.1".
        behavior: The suite's word for what was received.
        behavior_close: The suite's word for how the connection was closed.
        words: What the suite says about it, by its name for that.
    """

    side: str
    case: str
    behavior: str
    behavior_close: str
    words: tuple[tuple[str, str], ...]

    @property
    def group(self) -> int:
        """The first part of its number."""
        return int(self.case.partition(".")[0])

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be mended."""
        return Verdict.of(self.behavior).is_good and Verdict.of(self.behavior_close).is_good


def case_order(case: str) -> tuple[int, ...]:
    """A key that sorts cases by their numbers."""
    return tuple(int(part) for part in case.split("."))


def read_reports(folder: Path, side: str, agent: str, cases: Iterable[str]) -> list[CaseResult]:
    """Read what the suite has written about an agent.

    Args:
        folder: Where its index.json lies.
        side: What the agent is.
        agent: The agent's name.
        cases: The cases that it was set on; one that the suite says nothing about has failed.
    """
    path = folder / "index.json"
    index = json.loads(path.read_text(encoding="utf-8")).get(agent, {}) if path.exists() else {}
    return [_read_case(folder, side, case, index.get(case)) for case in sorted(cases, key=case_order)]


def _read_case(folder: Path, side: str, case: str, entry: dict[str, Any] | None) -> CaseResult:
    if entry is None:
        return CaseResult(side, case, "NOT RUN", "NOT RUN", (("result", "the suite has no report of it"),))
    report = json.loads((folder / entry["reportfile"]).read_text(encoding="utf-8"))
    words = tuple((name, _plain(str(report.get(name, "")))) for name in _WORDS)
    return CaseResult(side, case, entry["behavior"], entry["behaviorClose"], words)


def _plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def table(results: Sequence[CaseResult]) -> list[str]:
    """Count the verdicts by side and group, as a Markdown table."""
    head = ["side", "cases", *(verdict.value for verdict in Verdict), *(f"close {v.value}" for v in Verdict)]
    rows = [head]
    for side in dict.fromkeys(result.side for result in results):
        of_side = [result for result in results if result.side == side]
        groups = sorted({result.group for result in of_side})
        rows += [_row(side, f"{group}.*", [r for r in of_side if r.group == group]) for group in groups]
        rows.append(_row(side, "all", of_side))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line([*map(str.ljust, row, widths)]) for row in rows]
    return [lines[0], _line(["-" * width for width in widths]), *lines[1:]]


def _row(side: str, name: str, results: Sequence[CaseResult]) -> list[str]:
    behavior = Counter(Verdict.of(result.behavior) for result in results)
    close = Counter(Verdict.of(result.behavior_close) for result in results)
    return [side, name, *(str(behavior[v]) for v in Verdict), *(str(close[v]) for v in Verdict)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def faults(results: Sequence[CaseResult]) -> Iterator[str]:
    """Say of each case that is not as it should be what the suite says of it."""
    for result in results:
        if not result.is_good:
            yield f"{result.side} {result.case}: behavior {result.behavior}, behaviorClose {result.behavior_close}"
            yield from (f"    {name}: {text}" for name, text in result.words if text)
