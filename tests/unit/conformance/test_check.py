"""The baseline of the W3C suite may only grow."""

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


def test_files_that_were_not_run_are_not_lost():
    assert lost(outcome([result("a.html", one="PASS")]), {}) == []
