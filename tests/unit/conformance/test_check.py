"""The baseline of the W3C suite may only grow."""

import json

from tests.conformance import check
from tests.conformance.check import lost, outcome


def result(file: str, **subtests: str) -> dict[str, object]:
    return {"file": file, "subtests": [{"name": n, "status": s} for n, s in subtests.items()]}


def test_counts_what_passes_and_names_what_does_not():
    assert outcome([result("a.html", one="PASS", two="FAIL", three="TIMEOUT")]) == {
        "a.html": {"passed": 1, "failing": ["three", "two"]}
    }


def test_a_new_failure_is_a_loss():
    before = outcome([result("a.html", one="PASS", two="FAIL")])
    assert lost(before, outcome([result("a.html", one="FAIL", two="FAIL")])) == ["a.html: one"]


def test_a_known_failure_and_a_new_pass_are_not():
    before = outcome([result("a.html", one="PASS", two="FAIL")])
    assert lost(before, outcome([result("a.html", one="PASS", two="PASS")])) == []


def test_a_subtest_that_vanished_is_a_loss():
    before = outcome([result("a.html", one="PASS", two="PASS")])
    assert lost(before, outcome([result("a.html", one="PASS")])) == ["a.html: 1 subtests did not run"]


def test_a_file_that_did_not_run_is_a_loss():
    before = outcome([result("a.html", one="PASS"), result("b.html", one="PASS")])
    now = outcome([result("b.html", one="PASS")])
    assert lost(before, now) == ["a.html: did not run"]
    assert lost(before, now, some=True) == []


def test_the_exit_status_says_so(tmp_path, monkeypatch, capsys):
    baseline, run = tmp_path / "baseline.json", tmp_path / "run.json"
    baseline.write_text(json.dumps(outcome([result("a.html", one="PASS")])))
    monkeypatch.setattr(check, "BASELINE", baseline)
    run.write_text(json.dumps({"results": []}))
    assert check.main([str(run)]) == 1
    assert "LOST  a.html: did not run" in capsys.readouterr().out
    assert check.main([str(run), "--some"]) == 0
    run.write_text(json.dumps({"results": [result("a.html", one="PASS"), result("b.html", one="PASS")]}))
    assert check.main([str(run), "--update"]) == 0
    assert set(json.loads(baseline.read_text())) == {"a.html", "b.html"}
