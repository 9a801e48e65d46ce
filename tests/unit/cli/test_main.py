"""Arguments and exit codes."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from rtcpeer.cli.main import build_parser, main


def test_defaults() -> None:
    demo = build_parser().parse_args(["demo"])
    assert (demo.file, demo.direct, demo.json) == (None, False, False)
    serve = build_parser().parse_args(["serve"])
    assert (serve.host, serve.port, serve.no_browser) == ("127.0.0.1", 8080, False)


def test_wrong_use_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dmo"])
    assert ended.value.code == 2
    assert "invalid choice: 'dmo'" in capsys.readouterr().err


def test_without_a_verb_the_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert {"demo", "serve", "relay", "doctor"} <= set(capsys.readouterr().out.split())


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"rtcpeer {metadata.version('rtcpeer')}\n"


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    program = "import sys; from rtcpeer.cli.main import main; sys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--file", str(tmp_path / "none.mp4")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_serve_without_aiohttp_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["serve"]) == 2
    assert "pip install 'rtcpeer[cli]' (in a checkout '.[cli]')" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["80808", "65536", "-1", "8o", "", "\u0661", "9" * 5000])
def test_a_port_that_is_none_is_said_in_a_sentence(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", port])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "is no port" in said or "expected one argument" in said
    assert len(said) < 1000


@pytest.mark.parametrize("port", ["0", "8080", "65535"])
def test_ports(port: str) -> None:
    assert build_parser().parse_args(["serve", "--port", port]).port == int(port)


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "no such host"])
def test_a_host_that_is_none_is_said_in_a_sentence(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aiohttp")
    assert main(["serve", "--host", host, "--port", "0", "--no-browser"]) == 2
    assert "cannot listen on" in capsys.readouterr().err


def test_why_nothing_can_listen_is_in_words_of_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port), "--no-browser"]) == 2
    words = os.strerror(errno.EADDRINUSE)
    assert capsys.readouterr().err == f"rtcpeer: cannot listen on 127.0.0.1:{port}: {words} (try --port 0)\n"
    assert main(["serve", "--host", "192.0.2.200", "--port", "1", "--no-browser"]) == 2
    assert capsys.readouterr().err == (
        f"rtcpeer: cannot listen on 192.0.2.200:1: {os.strerror(errno.EADDRNOTAVAIL)}\n"
    )


def test_what_cannot_be_played_is_named_without_a_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("no film")
    assert main(["whip", str(film), "http://127.0.0.1:1/x"]) == 2
    assert capsys.readouterr().err.startswith(f"rtcpeer: {str(film)!r}: Invalid data")
    assert main(["whip", str(tmp_path / "none.mp4"), "http://127.0.0.1:1/x"]) == 2
    assert (
        capsys.readouterr().err == f"rtcpeer: {str(tmp_path / 'none.mp4')!r}: {os.strerror(errno.ENOENT)}\n"
    )


def test_words_that_no_verb_takes_are_counted_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["relay", "secret", "--token=hidden", "another"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "unrecognized arguments: --token 2 more than it takes" in said
    assert not any(word in said for word in ("secret", "hidden", "another"))
