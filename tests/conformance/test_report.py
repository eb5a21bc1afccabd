"""The suite's reports are read to the letter: what it faults, and what it leaves out, does not pass as good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.autobahn import select_cases
from tests.conformance.environment import SuiteError, find_python27
from tests.conformance.report import faults, read_reports, table

CASES = ["1.1.1", "1.1.2", "10.1.1", "12.1.1", "12.1.11", "12.2.1"]

WORDS = {
    "description": "Send <b>RSV = 2</b>,<br>then send Ping.",
    "expectation": "Fail &amp; close.",
    "result": "Actual events match at least one expected.",
    "resultClose": "Connection was properly closed",
}


def write(folder: Path, entries: dict[str, tuple[str, str]]) -> None:
    """Write reports as the suite does."""
    index = {}
    for case, (behavior, behavior_close) in entries.items():
        name = f"peer_case_{case.replace('.', '_')}.json"
        index[case] = {"behavior": behavior, "behaviorClose": behavior_close, "reportfile": name}
        (folder / name).write_text(json.dumps(WORDS), encoding="utf-8")
    (folder / "index.json").write_text(json.dumps({"peer": index}), encoding="utf-8")


@pytest.mark.parametrize(
    ("behavior", "behavior_close", "is_good"),
    [
        ("OK", "OK", True),
        ("INFORMATIONAL", "INFORMATIONAL", True),
        ("NON-STRICT", "OK", False),
        ("FAILED", "OK", False),
        ("UNIMPLEMENTED", "OK", False),
        ("OK", "FAILED", False),
        ("OK", "UNCLEAN", False),
        ("OK", "WRONG CODE", False),
        ("OK", "FAILED BY CLIENT", False),
    ],
)
def test_a_case_is_good_where_behavior_and_closing_are(tmp_path, behavior, behavior_close, is_good):
    write(tmp_path, {"1.1.1": (behavior, behavior_close)})
    (result,) = read_reports(tmp_path, "server", "peer", ["1.1.1"])
    assert result.is_good is is_good
    assert bool(list(faults([result]))) is not is_good


def test_a_case_without_a_report_has_failed(tmp_path):
    write(tmp_path, {"1.1.1": ("OK", "OK")})
    good, missing = read_reports(tmp_path, "server", "peer", ["1.1.2", "1.1.1"])
    assert (good.case, good.is_good) == ("1.1.1", True)
    assert (missing.case, missing.is_good) == ("1.1.2", False)


def test_no_reports_at_all_are_failures(tmp_path):
    results = read_reports(tmp_path, "client", "peer", CASES)
    assert len(results) == len(CASES)
    assert not any(result.is_good for result in results)


def test_the_table_counts_by_side_and_group_in_the_order_of_numbers(tmp_path):
    write(tmp_path, {"10.1.1": ("OK", "UNCLEAN"), "1.1.1": ("OK", "OK"), "1.1.2": ("NON-STRICT", "INFORMATIONAL")})
    lines = table(read_reports(tmp_path, "server", "peer", ["10.1.1", "1.1.1", "1.1.2"]))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2:] == [
        ["server", "1.*", "1", "0", "1", "0", "0", "1", "1", "0", "0", "0"],
        ["server", "10.*", "1", "0", "0", "0", "0", "0", "0", "0", "1", "0"],
        ["server", "all", "2", "0", "1", "0", "0", "1", "1", "0", "1", "0"],
    ]


def test_a_fault_is_told_in_the_suites_words_without_its_tags(tmp_path):
    write(tmp_path, {"3.2": ("NON-STRICT", "OK")})
    assert list(faults(read_reports(tmp_path, "server", "peer", ["3.2"]))) == [
        "server 3.2: behavior NON-STRICT, behaviorClose OK",
        "    description: Send RSV = 2 , then send Ping.",
        "    expectation: Fail & close.",
        "    result: Actual events match at least one expected.",
        "    resultClose: Connection was properly closed",
    ]


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("1", ["1.1.1", "1.1.2"]),
        ("1.1", ["1.1.1", "1.1.2"]),
        ("1.1.1", ["1.1.1"]),
        ("12.*.1", ["12.1.1", "12.2.1"]),
        ("1*", CASES),
    ],
)
def test_cases_are_selected_by_number_beginning_or_pattern(pattern, selected):
    assert select_cases(CASES, [pattern]) == selected


def test_a_pattern_that_selects_nothing_is_an_error():
    with pytest.raises(SuiteError, match="no case 8"):
        select_cases(CASES, ["1", "8"])


def test_a_named_interpreter_that_is_no_python_27_is_not_replaced_by_another():
    with pytest.raises(SuiteError, match="is not a Python"):
        find_python27("no-such-python")
