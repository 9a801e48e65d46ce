"""``rtcpeer doctor``: tests STUN and TURN servers and says what is wrong with them, one sentence each.

Without a server it shows what is installed here.

Owns: where servers and credentials are read from, what is printed, the exit status (0 all servers work, 1 one does
not, 2 wrong use). Never: the tests (`run`), a credential in any output.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtcpeer.cli.doctor import installation
from rtcpeer.cli.doctor.run import Result, check_up
from rtcpeer.cli.doctor.verdicts import (
    FAMILY_NAMES,
    ServerAttempt,
    ServerReport,
    Verdict,
    show,
    udp_is_blocked,
    verdict,
)
from rtcpeer.config.configuration import RTCConfiguration, read_configuration
from rtcpeer.config.readers import read_ice_servers
from rtcpeer.config.rest import rest_credentials
from rtcpeer.config.servers import IceServerEntry, parse_server_url
from rtcpeer.errors import RtcPeerError
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Address, Network

# Environment variables: a command line is seen by every user of the machine.
USERNAME = "RTCPEER_TURN_USERNAME"
CREDENTIAL = "RTCPEER_TURN_CREDENTIAL"
SECRET = "RTCPEER_TURN_SECRET"


class WrongUseError(Exception):
    """The servers cannot be read; the message shows no credential."""


def read_servers(
    urls: Sequence[str],
    *,
    user: str | None = None,
    credential: str | None = None,
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[IceServerEntry, ...]:
    """The servers to test: those of the command line, then those of the file.

    Args:
        urls: with one user and credential for all ``turn:`` and ``turns:``.
        user, credential: else from the environment, where also a secret shared with the servers
            (coturn's ``static-auth-secret``) may stand, from which they are made.
        file: JSON in any form that `rtcpeer.config.readers` reads; "-" is standard input.
        environment: where variables are looked up.

    Raises:
        WrongUseError: a file without a server, or something cannot be read.
    """
    if user is None and credential is None:
        user, credential = environment.get(USERNAME), environment.get(CREDENTIAL)
        secret = environment.get(SECRET)
        if credential is None and secret:
            user, credential = rest_credentials(secret, user=user or "doctor", ttl=600)
    elif credential is None:
        credential = environment.get(CREDENTIAL)
    servers: list[Any] = []
    try:
        for url in urls:
            # parsed before it is shown: the message of a malformed one leaves out a user part
            if not parse_server_url(url).is_turn:
                servers.append({"urls": url})
            elif user is None or credential is None:
                raise WrongUseError(
                    f"{url}: a TURN server needs --user and --credential, or the environment variables {USERNAME} "
                    f"and {CREDENTIAL} (or {SECRET})"
                )
            else:
                servers.append({"urls": url, "username": user, "credential": credential})
        if file is not None:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
            servers += read_ice_servers(text).servers
        configuration: RTCConfiguration = read_configuration({"iceServers": servers})
    except (RtcPeerError, TypeError) as error:
        raise WrongUseError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    entries = tuple(dict.fromkeys(configuration.entries))
    if file is not None and not entries:
        raise WrongUseError("there is no server to test in that file")
    return entries


def read_authorities(file: str | None) -> ssl.SSLContext | None:
    """A TLS context that trusts the certificates in a file; None for the system's.

    Raises:
        WrongUseError: it cannot be read.
    """
    if file is None:
        return None
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise WrongUseError(f"{file} has no certificates: {error.strerror or error}") from None


async def run_doctor(
    entries: Sequence[IceServerEntry],
    *,
    as_json: bool = False,
    tls: ssl.SSLContext | None = None,
    network: Network | None = None,
) -> int:
    """Test the servers, print what was found, and return the exit status.

    Args:
        entries: the servers; none: what is installed here is shown instead.
        as_json: one document, which has both.
        tls: for ``turns:`` and ``stuns:``; None trusts the system's authorities.
        network: the way to the servers; None: the machine's.
    """
    result = await check_up(entries, network or current_network.get(), tls)
    verdicts = [verdict(report) for report in result.reports]
    found = installation.look_up()
    if as_json:
        document = as_document(result, verdicts) | {"installation": installation.as_document(found)}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(as_lines(result, verdicts) if entries else installation.as_lines(found)))
    sys.stdout.flush()
    works = all(one.works for one in verdicts) if entries else found.works
    return 0 if works else 1


# --- what is printed ------------------------------------------------------------------------------


def as_lines(result: Result, verdicts: Sequence[Verdict]) -> list[str]:
    """The result as lines, for people."""
    lines = []
    for one in verdicts:
        lines.append(f"{'ok   ' if one.works else 'FAILS'}  {one.sentence}")
        lines += [f"       {advice}" for advice in one.advice]
    lines.append("")
    if udp_is_blocked(result.reports):
        lines.append(
            "UDP: nothing answered, other transports did; a firewall between here and there drops UDP."
        )
    lines += [nat.sentence for nat in result.nats]
    missing = [name for family, name in FAMILY_NAMES.items() if family not in result.families]
    if missing:
        lines.append(f"This host has no {' and no '.join(missing)} address beyond loopback.")
    working = sum(one.works for one in verdicts)
    what = (
        "the server works" if len(verdicts) == working == 1 else f"{working} of {len(verdicts)} servers work"
    )
    lines.append(f"In {result.seconds:.1f} s: {what}.")
    return lines


def as_document(result: Result, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The result as a document, for programs: the same and all details, times in ms."""
    return {
        "works": all(one.works for one in verdicts),
        "seconds": round(result.seconds, 3),
        "families": list(result.families),
        "udpBlocked": udp_is_blocked(result.reports),
        "servers": [_server(report, one) for report, one in zip(result.reports, verdicts, strict=True)],
        "nat": [
            {
                "family": nat.family,
                "mapping": nat.code,
                "sentence": nat.sentence,
                "public": [show(address) for address in nat.public],
            }
            for nat in result.nats
        ],
    }


def _server(report: ServerReport, one: Verdict) -> dict[str, Any]:
    return {
        "url": one.url,
        "works": one.works,
        "code": one.code,
        "sentence": one.sentence,
        "advice": list(one.advice),
        "transport": report.transport.lower(),
        "host": report.url.host,
        "port": report.url.port,
        "resolveTime": _ms(report.resolve_time),
        "clockSkew": None if report.clock_skew is None else round(report.clock_skew, 1),
        "attempts": [_attempt(attempt) for attempt in report.attempts],
    }


def _attempt(attempt: ServerAttempt) -> dict[str, Any]:
    return {
        "family": attempt.family,
        "address": show(attempt.address),
        "localAddress": attempt.local,
        "outcome": attempt.outcome,
        "roundTripTime": _ms(attempt.rtt),
        "mappedAddress": _shown(attempt.mapped),
        "relayedAddresses": [show(address) for address in attempt.relayed],
        "lifetime": attempt.lifetime,
        "software": attempt.software or None,
        "errorCode": attempt.error_code or None,
        "errorText": attempt.error_text or None,
        "challenges": attempt.challenges,
        "redirectedFrom": _shown(attempt.redirected_from),
        "secondAllocationError": attempt.second_refused or None,
        "data": [
            {
                "peer": bounce.peer,
                "outbound": bounce.outbound,
                "inbound": bounce.inbound,
                "forbidden": bounce.forbidden or None,
            }
            for bounce in attempt.bounces
        ],
    }


def _shown(address: Address | None) -> str | None:
    return None if address is None else show(address)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
