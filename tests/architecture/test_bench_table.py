"""The tables of docs/performance.md come from results, and only what stands between the marks is replaced."""

import datetime
import json
import sys
from pathlib import Path

import pytest

from tests.bench import relay, run, table

RUN = {
    "setup": {
        "rtcpeer": {"median_ms": 4.2, "cpu_ms_per_pair": 4.1},
        "aiortc": {"median_ms": 27.7, "cpu_ms_per_pair": 8.9},
        "wrtc": {"skipped": "not installed: pip install wrtc"},
    },
    "restart": {"rtcpeer": {"failed": ["boom"]}, "aiortc": {"note": "impossible"}},
}
RELAY = [
    {
        "stack": "rtcpeer",
        "kind": "video",
        "subscribers": 20,
        "cpu_percent": 4.7,
        "per_packet_us": 4.9,
        "lost": 0,
    },
    {"stack": "pion", "kind": "video", "subscribers": 20, "skipped": "pion is not installed"},
    {"stack": "rtcpeer", "kind": "climb", "subscribers": 20, "packets_per_s": 61000, "limit": "load"},
]


def test_results_become_rows():
    assert table.pairs(RUN).splitlines() == [
        "|  | rtcpeer | aiortc | wrtc |",
        "| --- | --- | --- | --- |",
        "| offer to open channel: median ms / CPU ms per pair | 4.2 / 4.1 | 27.7 / 8.9 | - |",
        "| ICE restart: ms to the new pair / largest gap in ms | failed | impossible | - |",
    ]
    assert table.relays(RELAY).splitlines()[2:] == [
        "| VP8 at 1 Mbit/s, 1 -> 20 | 4.7 / 4.9 / 0 | - |",
        "| largest rate without loss, 1 -> 20 | 61000 / load | - |",
    ]


def test_only_what_stands_between_the_marks_is_replaced(tmp_path, capsys):
    page, results = tmp_path / "page.md", [tmp_path / "run.json", tmp_path / "relay.json"]
    results[0].write_text(json.dumps(RUN))
    results[1].write_text(json.dumps(RELAY))
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    arguments = [*map(str, results), "--write", str(page)]
    assert table.main(arguments) == 0
    written = page.read_text()
    assert written.startswith(f"before\n{table.BEGIN}\n\n`make bench`, ")
    assert written.endswith(f"\n\n{table.END}\nafter\n")
    assert "old" not in written
    assert "4.2 / 4.1" in capsys.readouterr().out
    page.write_text("no marks")
    with pytest.raises(ValueError, match="no marks"):
        table.main(arguments)


def test_the_tables_name_what_is_measured_and_the_page_has_a_place_for_them():
    assert {name for name, _members, _title in table._PAIRS} <= set(run.MEASUREMENTS)
    assert set(relay.RATES) < set(table._KINDS)
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    assert page.index(table.BEGIN) < page.index(table.END)
    day = datetime.date(2026, 11, 30)
    assert "30 November 2026" in table.text(RUN, RELAY, day)


@pytest.mark.parametrize("stack", run.OTHERS)
def test_a_stack_that_is_not_installed_is_skipped_with_the_reason(
    stack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    result = run.measure_other(stack, "setup", str(tmp_path))
    assert result["skipped"].startswith("not installed: ")


def test_what_another_stack_does_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    program = [sys.executable, "-c", "raise SystemExit('it broke')"]
    monkeypatch.setattr(run, "command_of", lambda stack, name, folder: program)
    assert run.measure_other("pion", "setup", "") == {"failed": ["it broke"]}
