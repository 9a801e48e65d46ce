"""Which pages and host names a server answers to."""

from __future__ import annotations

import pytest

from rtcpeer.signaling.http.sites import LOOPBACK, hosts_for, refuse_site


def test_a_server_on_loopback_answers_to_loopbacks_names_unless_told_otherwise():
    assert hosts_for("127.0.0.1", None) == LOOPBACK
    assert hosts_for("0.0.0.0", None) is None
    assert hosts_for("127.0.0.1", ["a.example"]) == ["a.example"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", None),
        ("[::1]:8080", None),
        ("localhost:8080", "http://localhost:8080"),
        ("localhost:8080", "https://localhost:8080"),
        ("localhost:8080", "https://allowed.example"),
    ],
)
def test_programs_pages_of_the_same_host_and_allowed_pages_are_served(host, origin):
    assert refuse_site(host, origin, hosts=LOOPBACK, origins=["https://allowed.example"]) is None


@pytest.mark.parametrize(
    ("host", "origin", "reason"),
    [
        ("rebound.example:8080", None, "does not answer to that host name"),
        ("rebound.example", "http://rebound.example", "does not answer to that host name"),
        ("localhost:8080", "http://localhost:9090", "pages of that origin"),
        ("localhost:8080", "https://evil.example", "pages of that origin"),
        ("localhost:8080", "null", "pages of that origin"),
        ("localhost:8080", "file://localhost:8080", "pages of that origin"),
        ("[::1", None, "malformed"),
        ("localhost", "http://[::1", "malformed"),
    ],
)
def test_foreign_names_and_foreign_pages_are_refused(host, origin, reason):
    refused = refuse_site(host, origin, hosts=LOOPBACK, origins=["https://allowed.example"])
    assert refused is not None
    assert reason in refused


def test_a_star_allows_every_page():
    assert refuse_site("a.example", "https://evil.example", hosts=None, origins=["*"]) is None
