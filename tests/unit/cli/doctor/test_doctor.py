"""Arguments, credentials, verdicts and NAT behaviour: what the doctor says, without a network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from rtcpeer.cli import main as command
from rtcpeer.cli.doctor.context import without_secrets
from rtcpeer.cli.doctor.doctor import CREDENTIAL, SECRET, USERNAME, WrongUseError, read_servers
from rtcpeer.cli.doctor.verdicts import (
    Bounce,
    MappingObservation,
    ServerAttempt,
    ServerReport,
    nat_behaviour,
    udp_is_blocked,
    verdict,
)
from rtcpeer.config.rest import rest_credentials
from rtcpeer.config.servers import IceServerEntry, parse_server_url

SECRETS = ("very-secret-password", "very-secret-user")
LOCAL = ("192.168.1.2", 5000)
ONE, OTHER = ("203.0.113.1", 3478), ("203.0.113.2", 3478)


# --- where servers come from ----------------------------------------------------------------------


def test_credentials_go_to_turn_servers_only() -> None:
    stun, turn = read_servers(["stun:a.example", "turn:a.example"], user="u", credential="c", environment={})
    assert (stun.username, stun.credential) == (None, None)
    assert (turn.username, turn.credential) == ("u", "c")


def test_credentials_from_the_environment() -> None:
    (turn,) = read_servers(["turn:a.example"], environment={USERNAME: "u", CREDENTIAL: "c"})
    assert (turn.username, turn.credential) == ("u", "c")
    (turn,) = read_servers(["turn:a.example"], user="me", environment={USERNAME: "u", CREDENTIAL: "c"})
    assert (turn.username, turn.credential) == ("me", "c")


def test_credentials_from_a_shared_secret() -> None:
    (turn,) = read_servers(["turn:a.example"], environment={SECRET: "s", USERNAME: "bot"})
    assert turn.username is not None
    expiry, _, name = turn.username.partition(":")
    assert name == "bot"
    assert turn.credential == rest_credentials("s", user="bot", ttl=600, now=int(expiry) - 600)[1]


@pytest.mark.parametrize(
    "document",
    [
        {"iceServers": [{"urls": ["turn:b.example"], "username": "u", "credential": "c"}]},
        [{"urls": "turn:b.example", "username": "u", "credential": "c"}],
        {"username": "u", "password": "c", "ttl": 600, "uris": ["turn:b.example"]},
        {"IceServerList": [{"Uris": ["turn:b.example"], "Username": "u", "Password": "c", "Ttl": 300}]},
        {"ice_servers": [{"urls": "turn:b.example", "username": "u", "credential": "c"}], "ttl": "60"},
    ],
)
def test_files_of_every_form(document: object, tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps(document))
    entries = read_servers(["stun:a.example"], file=str(file), environment={})
    assert [entry.url.url for entry in entries] == ["stun:a.example", "turn:b.example"]
    assert entries[1].credential == "c"


def test_a_file_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('[{"urls": "stun:a.example"}]'))
    assert len(read_servers([], file="-", environment={})) == 1


def test_the_same_server_is_tested_once() -> None:
    assert len(read_servers(["stun:a.example", "stun:a.example"], environment={})) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["turn:a.example"], "needs --user and --credential"),
        (["turn:a.example", "--user", "u"], "needs --user and --credential"),
        (["http://a.example"], "http"),
        (["turn:u:c@a.example", "--user", "u", "--credential", SECRETS[0]], "credentials do not belong"),
        ([f"turn:u:{SECRETS[0]}@a.example"], "credentials do not belong"),
        (["--json-config", "/nowhere/servers.json"], "cannot be read"),
        (["stun:a.example", "--cafile", "/nowhere/ca.pem"], "has no certificates"),
    ],
)
def test_wrong_use_ends_with_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (USERNAME, CREDENTIAL, SECRET):
        monkeypatch.delenv(variable, raising=False)
    assert command.main(["doctor", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert SECRETS[0] not in shown.err


@pytest.mark.parametrize(
    "text", ["", "{", "[]x", '{"iceServers": 5}', '[{"urls": "turn:a.example"}]', "\x00"]
)
def test_files_that_hold_something_else(text: str, tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text(text)
    with pytest.raises(WrongUseError):
        read_servers([], file=str(file), environment={})


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUseError, match="cannot be read"):
        read_servers([], file=str(file), environment={})


def test_a_real_server_from_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USERNAME, SECRETS[1])
    monkeypatch.setenv(CREDENTIAL, SECRETS[0])
    # nothing listens on a port that was just free, and over TCP that is said at once
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert command.main(["doctor", f"turn:127.0.0.1:{port}?transport=tcp"]) == 1
    shown = capsys.readouterr()
    assert f"FAILS  127.0.0.1:{port} over TCP: cannot be reached: connection refused" in shown.out
    assert not any(secret in shown.out + shown.err for secret in SECRETS)


# --- verdicts -------------------------------------------------------------------------------------


def report(url: str = "turn:a.example", *attempts: ServerAttempt, **members: object) -> ServerReport:
    return ServerReport(parse_server_url(url), list(attempts), **members)  # type: ignore[arg-type]


def attempt(outcome: str = "works", family: str = "ipv4", **members: object) -> ServerAttempt:
    address = ("203.0.113.1", 3478) if family == "ipv4" else ("2001:db8::1", 3478)
    return ServerAttempt(family, address, outcome, **members)  # type: ignore[arg-type]


def test_a_relay_that_works() -> None:
    found = verdict(report("turn:a.example", attempt(rtt=0.0234, lifetime=600)))
    assert found.works
    assert found.sentence == "a.example:3478 over UDP: relays, 23 ms; credential accepted for 600 s"
    assert found.advice == ()


def test_one_family_works_and_the_other_does_not() -> None:
    found = verdict(report("turn:a.example", attempt("silent", "ipv6"), attempt(rtt=0.01, lifetime=600)))
    assert found.works
    assert found.sentence.endswith("credential accepted for 600 s; over IPv6: does not answer")


def test_what_a_server_says_is_worth_more_than_silence() -> None:
    found = verdict(
        report("turn:a.example", attempt("silent"), attempt("credential", "ipv6", error_code=401))
    )
    assert found.code == "credential"
    assert found.sentence.endswith("refuses the credential (401); over IPv4: does not answer")


def test_one_direction_only() -> None:
    bounces = [Bounce("host", outbound=True)]
    found = verdict(report("turn:a.example", attempt("relays-one-way", rtt=0.01, bounces=bounces)))
    assert found.sentence.endswith("gives an allocation, 10 ms, but no data pass from the peer")
    bounces = [Bounce("host", inbound=True)]
    found = verdict(report("turn:a.example", attempt("relays-one-way", bounces=bounces)))
    assert found.sentence.endswith("but no data pass to the peer")


def test_two_relay_only_peers_may_be_more_than_a_server_can_do() -> None:
    bounces = [Bounce("relay"), Bounce("host", outbound=True, inbound=True)]
    found = verdict(report("turn:a.example", attempt(bounces=bounces)))
    assert found.works
    assert "two relay-only peers cannot call each other" in found.advice[0]


def test_what_the_server_says_is_made_printable() -> None:
    found = verdict(
        report("turn:a.example", attempt("refused", error_code=500, error_text="\x1b[2Jboom\n" * 90))
    )
    assert found.sentence.isprintable()
    assert len(found.sentence) < 300


def test_what_the_server_repeats_of_the_credential_is_removed() -> None:
    entry = IceServerEntry(parse_server_url("turn:a.example"), *reversed(SECRETS))
    assert without_secrets(f"no {SECRETS[0]} for {SECRETS[1]}", entry) == "no ... for ..."
    # with the word it stands in, so that its end does not show
    assert without_secrets(f"key=<{SECRETS[0]}> refused", entry) == "... refused"


def test_a_short_credential_is_removed_where_it_is_a_word_and_nowhere_else() -> None:
    entry = IceServerEntry(parse_server_url("turn:a.example"), "u", "pass")
    said = "wrong password for user u (pass): unauthorized"
    assert without_secrets(said, entry) == "wrong password for user ... (...): unauthorized"
    assert without_secrets("", entry) == ""
    assert without_secrets("x" * 60_000, entry) == "x" * 60_000


def test_other_problems() -> None:
    assert (
        "cannot be resolved (no such name)"
        in verdict(report(problem="unresolved", detail="no such name")).sentence
    )
    assert "no address of a family" in verdict(report(problem="no-address")).sentence
    assert "over DTLS: relays" in verdict(report("turns:a.example?transport=udp", attempt(rtt=0.01))).sentence
    assert "over DTLS (STUN): answers" in verdict(report("stuns:a.example", attempt(rtt=0.01))).sentence
    found = verdict(report("stun:a.example", attempt(rtt=0.0001), skipped=("ipv6",)))
    assert "under 1 ms" in found.sentence
    assert found.advice == ("It has an IPv6 address too, but this host has no IPv6.",)


def test_udp_is_blocked_when_only_udp_is_silent() -> None:
    silent = report("turn:a.example", attempt("silent"))
    works = report("turn:a.example?transport=tcp", attempt(rtt=0.01))
    assert udp_is_blocked([silent, works])
    assert not udp_is_blocked([silent])
    assert not udp_is_blocked([silent, report("turn:a.example?transport=tcp", attempt("unreachable"))])
    assert not udp_is_blocked([works])
    assert not udp_is_blocked([silent, works, report("stun:a.example", attempt())])


# --- NAT ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        ([(ONE, LOCAL), (OTHER, LOCAL)], "none"),
        ([(ONE, ("198.51.100.1", 7000))], "unknown"),
        ([(ONE, ("198.51.100.1", 7000)), (OTHER, ("198.51.100.1", 7000))], "endpoint-independent"),
        ([(ONE, ("198.51.100.1", 7000)), ((ONE[0], 9), ("198.51.100.1", 7000))], "endpoint-independent"),
        ([(ONE, ("198.51.100.1", 7000)), (OTHER, ("198.51.100.1", 7001))], "symmetric"),
        ([(ONE, ("198.51.100.1", 7000)), ((ONE[0], 9), ("198.51.100.1", 7001))], "symmetric"),
        ([(ONE, ("198.51.100.1", 7000)), (OTHER, ("198.51.100.2", 7000))], "symmetric"),
    ],
)
def test_nat_behaviour(seen: list[tuple[tuple[str, int], tuple[str, int]]], code: str) -> None:
    found = nat_behaviour([MappingObservation(LOCAL, server, mapped) for server, mapped in seen])
    assert (found.family, found.code) == ("ipv4", code)
    assert found.sentence.startswith("IPv4: ")


def test_an_ipv6_host() -> None:
    local = ("2001:db8::2", 5000)
    found = nat_behaviour([MappingObservation(local, ("2001:db8::1", 3478), local)])
    assert (found.family, found.code) == ("ipv6", "none")


@pytest.mark.parametrize(
    ("said", "skew", "words"),
    [
        ("self-signed certificate in certificate chain", None, "test with --cafile FILE"),
        ("unable to get local issuer certificate", None, "test with --cafile FILE"),
        ("certificate has expired", 10.0, "clock is right: it says 2026-11-30 12:00 UTC"),
        ("certificate has expired", 10.0, "The certificate has to be renewed."),
        ("certificate has expired", 86400.0 * 40, "clock is 40 days ahead of the server's"),
        ("certificate is not yet valid", -86400.0 * 400, "clock is 400 days behind the server's"),
        (
            "certificate is not yet valid",
            None,
            "Is this machine's clock right? It says 2026-11-30 12:00 UTC.",
        ),
        (
            "Hostname mismatch, certificate is not valid for 'a'.",
            None,
            "Use the name that is in the certificate",
        ),
    ],
)
def test_what_is_said_of_a_certificate(said: str, skew: float | None, words: str) -> None:
    attempt = ServerAttempt("ipv4", ("192.0.2.1", 5349), outcome="certificate", error_text=said)
    report = ServerReport(
        parse_server_url("turns:turn.example"), [attempt], now=1796040000.0, clock_skew=skew
    )
    found = verdict(report)
    assert said in found.sentence
    assert words in " ".join(found.advice)
