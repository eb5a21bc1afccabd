"""The rules of HTTP/1.1 heads. RFC 9112 §2 to §6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import parse_head
from tests.vectors import broken_heads as vectors
from tests.vectors import heads


@pytest.mark.parametrize("case", vectors.BROKEN_HEADS, ids=lambda case: case.id)
@pytest.mark.parametrize("offset", [0, 1000])
def test_a_broken_head(case: vectors.BrokenHead, offset: int):
    """Each rule that it breaks, with the bytes to blame, wherever the head begins."""
    found = list(judge_head(case.wire, parse_head(case.wire, offset), is_response=case.is_response))
    blamed = [
        (finding.rule.id, case.wire[finding.span.start - offset : finding.span.stop - offset]) for finding in found
    ]
    assert tuple(blamed) == case.findings
    assert all(finding.text for finding in found)


@pytest.mark.parametrize(("wire", "is_response"), vectors.CLEAN_HEADS)
def test_a_clean_head(wire: bytes, is_response: bool):
    """RFC 9112 §2.2, §3, §4, §5: what may look odd and breaks nothing."""
    assert list(judge_head(wire, parse_head(wire), is_response=is_response)) == []


@pytest.mark.parametrize("case", heads.HEADS, ids=lambda case: case.id)
def test_what_a_strict_parser_takes(case: heads.HeadCase):
    """What Tornado refuses is found here, too, but a reason that is missing with its space (RFC 9112 §4)."""
    head = parse_head(case.wire)
    found = {
        finding.rule.id
        for finding in judge_head(case.wire, head, is_response=head.is_response)
        if finding.rule.id not in ("host-missing", "bare-line-feed")
    }
    assert bool(found) == (not case.is_strict and case.id != "no-reason")


_pieces = st.lists(st.sampled_from([b"GET / HTTP/1.1", b"A", b":", b" ", b"\t", b"\r", b"\n", b"\r\n"])).map(b"".join)


@given(st.binary(max_size=80) | _pieces, st.integers(0, 1000), st.booleans())
def test_any_bytes_are_judged(data: bytes, offset: int, is_response: bool):
    """What is blamed lies in the head."""
    for finding in judge_head(data, parse_head(data, offset), is_response=is_response):
        assert offset <= finding.span.start <= finding.span.stop <= offset + len(data)
