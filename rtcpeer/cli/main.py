"""The command line: ``python -m rtcpeer demo | serve | whip | whep | join | relay | doctor | report | completion``.

Owns: arguments and exit codes (0 all went well, 1 a promise was broken, 2 wrong use or something to install, 130
Ctrl-C, 141 nobody reads the output).
Never: what a verb does; each verb is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rtcpeer.cli.report import refuse
from rtcpeer.cli.running import INTERRUPTED, READER_GONE, run, silence
from rtcpeer.lazy import install_hint


class _Parser(argparse.ArgumentParser):
    """A parser that repeats nothing that may be a credential behind a mistyped option."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with status 2."""
        kind, colon, words = message.partition(": ")
        if kind == "unrecognized arguments":
            given = words.split()
            shown = [word.partition("=")[0] for word in given if word.startswith("--")]
            hidden = len(given) - len(shown)
            if hidden:
                shown.append(f"{hidden} more than it takes (not shown: that may be a credential); see --help")
            message = kind + colon + " ".join(shown)
        super().error(message)


def build_parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    parser = _Parser(
        prog="rtcpeer",
        description="A browser-grade RTCPeerConnection for Python asyncio, at work.",
        epilog="Exit status: 0 all went well, 1 something was refused or broken, 2 wrong use, 130 Ctrl-C, "
        "141 nobody reads the output. `rtcpeer completion SHELL --help`: how to have commands and options completed.",
    )
    parser.add_argument("--version", action="version", version=f"rtcpeer {metadata.version('rtcpeer')}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs (rtcpeer VERB --help says more)")
    _add_demo(verbs)
    _add_serve(verbs)
    _add_relay(verbs)
    _add_whip(verbs)
    _add_join(verbs)
    _add_doctor(verbs)
    _add_report(verbs)
    _add_completion(verbs)
    return parser


def _add_demo(verbs: Any) -> None:
    """The verb `demo`."""
    demo = verbs.add_parser(
        "demo",
        help="two peers in this process: connect, replace servers, restart ICE, outage, recreate",
        description="Two peers and their STUN/TURN servers in one process. Prints what happens and keeps "
        "account; ends with status 1 when a promise is broken. Takes less than 30 seconds.",
    )
    demo.add_argument("--file", type=Path, metavar="PATH", help="send this media file, not a test picture")
    demo.add_argument(
        "--direct",
        action="store_true",
        help="let the first call use direct paths, not the relay",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON object instead of the timeline")


def _add_serve(verbs: Any) -> None:
    """The verb `serve`."""
    serve = verbs.add_parser(
        "serve",
        help="a page on localhost: your browser in a call with a Python bot",
        description="Serves a page on which a browser calls a Python bot. Needs aiohttp.",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8080, help="port, 0 for any (default: %(default)s)")
    serve.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    serve.add_argument("--json", action="store_true", help="print each event as a JSON object in a line")


def _add_relay(verbs: Any) -> None:
    """The verb `relay`."""
    relay = verbs.add_parser(
        "relay",
        help="WHIP in, WHEP out, without decoding, and a page to watch at",
        description="Takes publishers by WHIP at /whip/NAME and gives what they send to players by WHEP at /whep/NAME, "
        "forwarded without decoding; / is a page to watch at. Runs until Ctrl-C; status 0, or 2 when it cannot "
        "listen. Needs aiohttp.",
        epilog="With RTCPEER_WHIP_TOKEN in the environment publishers have to show it as their bearer token; "
        "RTCPEER_WHEP_TOKEN is shown to the relays upstream.",
    )
    relay.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="where to listen, port 0 for any (default: 127.0.0.1:8080)",
    )
    relay.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="pages of this origin may use it too; * for all",
    )
    relay.add_argument(
        "--max-sessions",
        type=int,
        default=100,
        metavar="N",
        help="of publishers, and of players (default: 100)",
    )
    relay.add_argument(
        "--upstream",
        type=_endpoint,
        action="append",
        default=[],
        metavar="URL",
        help="WHEP endpoint of a relay that is asked for what nobody publishes here, such as http://origin:8080/whep",
    )
    relay.add_argument("--json", action="store_true", help="print each event as a JSON object in a line")


def _add_doctor(verbs: Any) -> None:
    """The verb `doctor`."""
    doctor = verbs.add_parser(
        "doctor",
        help="test STUN and TURN servers: what is wrong with each, in a sentence; without URL: what is installed",
        description="Tests each server over its transport: name, reachability, round trip, credential, an allocation "
        "and data through it in both directions; shows the kind of NAT. Takes less than 10 seconds. Status 0: all "
        "work, 1: one does not, 2: wrong use. No output ever shows a credential. Without a URL: what is "
        "installed here, the helper of forwarding and the packages of the extras.",
        epilog="The environment is safer than the command line, which others can see: RTCPEER_TURN_USERNAME and "
        "RTCPEER_TURN_CREDENTIAL, or RTCPEER_TURN_SECRET (coturn's static-auth-secret).",
    )
    doctor.add_argument("urls", nargs="*", metavar="URL", help="stun:..., turn:...?transport=tcp, turns:...")
    doctor.add_argument("--user", metavar="U", help="user name for the turn: and turns: URLs")
    doctor.add_argument("--credential", "--password", metavar="C", help="their password")
    doctor.add_argument(
        "--json-config", metavar="FILE", help="servers as JSON, as TURN services hand them out; - for stdin"
    )
    doctor.add_argument(
        "--cafile", metavar="FILE", help="trust these authorities (PEM) for turns: and stuns:"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object with all details")


def _add_report(verbs: Any) -> None:
    """The verb `report`."""
    report = verbs.add_parser(
        "report",
        help="a page with pictures of a call, from a file of rtcpeer.trace or chrome://webrtc-internals",
        description="Makes one HTML file of a dump: states with reasons, pairs, servers, curves, signaling. It needs "
        "no network. Status 0: it is written; 2: the file cannot be read, or is no dump.",
    )
    report.add_argument("file", type=Path, metavar="FILE", help="the dump, as JSON")
    report.add_argument(
        "-o", "--output", type=Path, required=True, metavar="HTML", help="the page, such as call.html"
    )
    report.add_argument("--json", action="store_true", help="print one JSON object: what was written")


def _add_completion(verbs: Any) -> None:
    """The verb `completion`."""
    completion = verbs.add_parser(
        "completion",
        help="what makes a shell complete commands and options",
        description='Prints code for the shell. bash and zsh: eval "$(rtcpeer completion bash)" in ~/.bashrc '
        "or ~/.zshrc; fish: rtcpeer completion fish > ~/.config/fish/completions/rtcpeer.fish. Needs argcomplete.",
    )
    completion.add_argument(
        "shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish"
    )


def _port(text: str) -> int:
    """A port of the command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit()) or int(text[:6]) > 65535:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port: 0 to 65535")
    return int(text)


_TOKEN_NOTE = "The bearer token, if one is needed, is read from RTCPEER_WHIP_TOKEN in the environment."


def _add_whip(verbs: Any) -> None:
    """The verbs `whip` and `whep`."""
    whip = verbs.add_parser(
        "whip",
        help="publish a file, a stream or a camera to a WHIP endpoint",
        description="Publishes by WHIP until the source ends, --for is over or Ctrl-C. Status 0: it was published; 1: "
        "refused, or given up; 2: wrong use; 130: Ctrl-C before it was connected.",
        epilog=_TOKEN_NOTE,
    )
    whip.add_argument("source", metavar="FILE", help="a file, a URL, or a device such as /dev/video0")
    whip.add_argument("url", metavar="URL", help="the endpoint: https://...")
    whip.add_argument(
        "--format", metavar="NAME", help="libav's name of the format, for devices it does not know"
    )
    whip.add_argument("--loop", action="store_true", help="begin again at the end of the file")
    whep = verbs.add_parser(
        "whep",
        help="record what a WHEP endpoint plays into a file",
        description="Records by WHEP until the publisher ends, --for is over or Ctrl-C. Status 0: the file is whole; "
        "1: refused, given up, or nothing arrived; 2: wrong use; 130: Ctrl-C before it was connected.",
        epilog=_TOKEN_NOTE,
    )
    whep.add_argument("url", metavar="URL", help="the endpoint: https://...")
    whep.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the file; its name says the format"
    )
    for verb in (whip, whep):
        verb.add_argument(
            "--for",
            type=_seconds,
            dest="seconds",
            metavar="SECONDS",
            help="end so long after it was connected",
        )
        verb.add_argument(
            "--wait", type=_seconds, default=30.0, metavar="SECONDS", help="for the connection (default: 30)"
        )
        verb.add_argument("--json", action="store_true", help="print each event as a JSON object in a line")


def _add_join(verbs: Any) -> None:
    """The verb `join`."""
    verb = verbs.add_parser(
        "join",
        help="be in a call: who is there, play a file, record what arrives",
        description="Joins a call and shows who is there and what they publish, until the call ends, --for is over or "
        "Ctrl-C. Records each track into a file of its own, without transcoding. Status 0: left, or the room was "
        "closed; 1: not let in, put out or lost; 2: wrong use.",
        epilog="A credential, if one is needed, is read from RTCPEER_CALL_TOKEN in the environment.",
    )
    verb.add_argument(
        "url", metavar="URL", help="room+wss://host/path?room=NAME, janus+wss://host/?room=1234, ..."
    )
    verb.add_argument("--name", metavar="NAME", help="how to be called in the call")
    verb.add_argument("--play", metavar="FILE", help="publish this file, again and again")
    verb.add_argument("--record", type=Path, metavar="DIR", help="record what arrives into this folder")
    verb.add_argument(
        "--for", type=_seconds, dest="seconds", metavar="SECONDS", help="leave so long after joining"
    )
    verb.add_argument(
        "--wait", type=_seconds, default=30.0, metavar="SECONDS", help="for being let in (default: 30)"
    )
    verb.add_argument("--json", action="store_true", help="print each event as a JSON object in a line")


def _seconds(text: str) -> float:
    """A time of the command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of seconds above 0")
    return value


def _address(text: str) -> tuple[str, int]:
    """HOST:PORT of the command line, with an IPv6 host in brackets.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or (":" in host) != (host.startswith("[") and host.endswith("]")):
        raise argparse.ArgumentTypeError(
            f"{text[:60]!r} is not HOST:PORT, such as 0.0.0.0:8080 or [::1]:8080"
        )
    return host.strip("[]"), _port(port)


def _endpoint(text: str) -> str:
    """The URL of an HTTP endpoint, which says nothing that should not stand on a command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        url = urlsplit(text)
        fine = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        fine = False
    if not fine or url.query or url.fragment or "@" in url.netloc:
        raise argparse.ArgumentTypeError(
            "that is no URL of a WHEP endpoint without user and query, such as http://origin:8080/whep"
        )
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    try:
        try:
            return _main(arguments)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # who read our output has gone, as `rtcpeer ... | head` does: nothing more can be said to it, at exit either
        silence()
        return READER_GONE
    except KeyboardInterrupt:
        return INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what could come next
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    if options.verb is None:
        parser.print_help()
        return 0
    return _run_verb(options)


def _run_verb(options: argparse.Namespace) -> int:
    if options.verb == "demo":
        try:
            if options.file is not None and not options.file.is_file():
                return refuse(f"there is no file {str(options.file)!r}")
        except OSError as error:  # a name that is too long, a folder that may not be read
            return refuse(str(error))
        from rtcpeer.cli.demo.demo import run_demo

        return run(run_demo(media=options.file, direct=options.direct, as_json=options.json))
    if options.verb == "report":
        from rtcpeer.cli.picture.run import make_report

        return make_report(options.file, options.output, as_json=options.json)
    if options.verb == "completion":
        return _print_completion(options.shell)
    if options.verb == "doctor":
        from rtcpeer.cli.doctor import doctor

        try:
            entries = doctor.read_servers(
                options.urls, user=options.user, credential=options.credential, file=options.json_config
            )
            tls = doctor.read_authorities(options.cafile)
        except doctor.WrongUseError as error:
            return refuse(str(error))
        return run(doctor.run_doctor(entries, as_json=options.json, tls=tls))
    try:
        import aiohttp  # noqa: F401  (is it there?)
    except ImportError:
        return refuse(f"{options.verb} needs aiohttp, which is not installed: {install_hint('cli')}")
    if options.verb == "relay":
        from rtcpeer.cli.relay.relay import run_relay

        return run(
            run_relay(
                *options.listen,
                as_json=options.json,
                token=os.environ.get("RTCPEER_WHIP_TOKEN") or None,
                origins=options.origin,
                max_sessions=options.max_sessions,
                upstream=options.upstream,
                upstream_token=os.environ.get("RTCPEER_WHEP_TOKEN") or None,
            )
        )
    if options.verb in ("whip", "whep"):
        return _run_whip(options)
    if options.verb == "join":
        return _run_join(options)
    from rtcpeer.cli.serve.serve import run_server

    return run(run_server(options.host, options.port, browser=not options.no_browser, as_json=options.json))


def _run_whip(options: argparse.Namespace) -> int:
    common: dict[str, Any] = {
        "token": os.environ.get("RTCPEER_WHIP_TOKEN") or None,
        "seconds": options.seconds,
        "wait": options.wait,
        "as_json": options.json,
    }
    if options.verb == "whep":
        from rtcpeer.cli.whip.play import run_play

        return run(run_play(options.url, options.output, **common))
    from rtcpeer.cli.whip.publish import run_publish

    return run(run_publish(options.source, options.url, format=options.format, loop=options.loop, **common))


def _run_join(options: argparse.Namespace) -> int:
    from rtcpeer.cli.join.join import run_join

    return run(
        run_join(
            options.url,
            name=options.name,
            token=os.environ.get("RTCPEER_CALL_TOKEN") or None,
            play=options.play,
            record=options.record,
            seconds=options.seconds,
            wait=options.wait,
            as_json=options.json,
        )
    )


def _print_completion(shell: str) -> int:
    try:
        import argcomplete
    except ImportError:
        return refuse(f"completion needs argcomplete, which is not installed: {install_hint('cli')}")
    print(argcomplete.shellcode(["rtcpeer"], shell=shell))  # type: ignore[attr-defined,unused-ignore]
    return 0
