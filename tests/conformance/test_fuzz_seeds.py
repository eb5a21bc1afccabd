"""What the fuzzer found stays a case: every seed, through every target, without atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from lane_kernel.wire.frames import describe_frame
from lane_kernel.wire.http1 import ChunkedDecoder
from tests.conformance.fuzz import FuzzError, Outcome, main, read_log, share_time, table
from tests.conformance.fuzzing.findings import failure_of, keep, shrink
from tests.conformance.fuzzing.targets import MAX_SIZE, SEEDS, TARGETS, Target, kept_seeds

KEPT = kept_seeds()
targets = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@pytest.mark.parametrize("name", KEPT)
def test_seed(name: str):
    """Whatever target it was found with, it is an input of each."""
    for target in TARGETS.values():
        target.run(KEPT[name])


@targets
def test_tables(target: Target):
    """The case tables, as the fuzzer begins with them."""
    seeds = target.seeds()
    assert seeds
    for seed in (b"", *seeds):
        target.run(seed)


def test_the_corpus_is_small():
    assert 0 < len(KEPT) <= 60
    assert max(map(len, KEPT.values())) <= MAX_SIZE
    assert {name.partition("-")[0] for name in KEPT} <= set(TARGETS)


_feed = ChunkedDecoder.feed

MISTAKES = {
    "connection": ("lane_kernel.wire.connection.Frame.encode", lambda frame, mask: bytes((frame.opcode, 0))),
    "sending": ("lane_kernel.wire.writer.judge_header", lambda header, sender, rsv_allowed: iter(())),
    "endpoint": (
        "lane_kernel.wire.endpoint.find_head_end",
        lambda data, searched: data.find(b"\r\n\r\n", searched) + 4,
    ),
    "events": ("lane_kernel.wire.eventstream._size", len),
    "heads": ("lane_kernel.wire.http1.fill_gaps", lambda fields, data, offset: tuple(fields)),
    "chunked": (
        "lane_kernel.wire.http1.ChunkedDecoder.feed",
        lambda decoder, data, offset=0: _feed(decoder, data, offset + 1),
    ),
    "extensions": ("lane_kernel.wire.deflate.Extension.__str__", lambda extension: extension.name),
    "timeline": ("lane_kernel.timeline.entries.describe_frame", lambda data, offset: describe_frame(data, offset)[:-1]),
}


@targets
def test_a_target_finds_a_mistake(target: Target, monkeypatch: pytest.MonkeyPatch):
    """Each holds more than that nothing is raised."""
    monkeypatch.setattr(*MISTAKES[target.name])
    assert any(failure_of(target.run, seed) for seed in target.seeds())


# The command


def test_a_finding_is_kept_small_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(data: bytes) -> None:
        if b"ab" in data:
            raise ValueError("a and b")

    found = tmp_path / "toy-crash-1"
    found.write_bytes(bytes(range(1, 256)))
    monkeypatch.chdir(tmp_path)
    text = keep(Target("toy", run, 1, lambda: iter(())), found)
    assert found.read_bytes() == b"ab"
    first, shown, *rest = text.splitlines()
    assert first == "python -m tests.conformance.fuzz --target toy --replay toy-crash-1"
    assert shown == "b'ab'"
    assert rest[-1] == "ValueError: a and b"
    assert found.with_name("toy-crash-1.txt").read_text(encoding="utf-8") == text


def test_what_does_not_fail_again_is_left_as_it_is(tmp_path: Path):
    def run(data: bytes) -> None:
        pass

    for name in ("toy-crash-1", "toy-timeout-1"):
        (tmp_path / name).write_bytes(b"ab")
        assert name in keep(Target("toy", run, 1, lambda: iter(())), tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"ab"
    assert shrink(run, b"ab") == b"ab"


LOG = """\
#86	INITED cov: 505 ft: 752 corp: 25/1930b exec/s: 0 rss: 59Mb
#90	NEW    cov: 506 ft: 760 corp: 26/1940b lim: 76 exec/s: 0 rss: 59Mb L: 20/76 MS: 1 EraseBytes-
#39370	DONE   cov: 657 ft: 1384 corp: 120/18Kb lim: 376 exec/s: 1874 rss: 61Mb
stat::number_of_executed_units: 39370
"""


def test_read_log():
    outcome = read_log("endpoint", 20, LOG)
    assert outcome == Outcome("endpoint", 20, 39370, 505, 657, 1384, 120)
    assert table([outcome])[-1] == "| endpoint | 20 | 39,370 | 1,968 | 505 | 657 | 1384 | 120 | 0 |"
    cut = LOG.replace("DONE", "NEW ")
    assert read_log("endpoint", 20, cut, ["found"]).findings == ("found",)
    for log in ("", cut):
        with pytest.raises(FuzzError, match="endpoint: the fuzzer did not come to its end"):
            read_log("endpoint", 20, log)


def test_the_time_is_shared():
    shares = share_time(list(TARGETS.values()), 300)
    assert set(shares) == set(TARGETS)
    assert 280 <= sum(shares.values()) <= 300
    assert share_time([TARGETS["chunked"]], 60) == {"chunked": 60}
    assert set(share_time(list(TARGETS.values()), 0).values()) == {1}


def test_replay(capsys: pytest.CaptureFixture[str]):
    """A seed is run as a finding would be, without atheris."""
    assert main(["--target", "chunked", "--replay", str(SEEDS / next(iter(KEPT)))]) == 0
    assert capsys.readouterr().out.endswith("chunked finds nothing wrong\n")
