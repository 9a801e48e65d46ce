"""coturn, started for a test: on its own ports, in a namespace or on this machine, with a certificate of its own."""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

from rtcpeer.testing import CertificateAuthority
from rtcpeer.testing.turn.settings import rest_password


def why_not():
    """Why coturn cannot be run here; None if it can."""
    return None if shutil.which("turnserver") else "the program turnserver (Debian package coturn) is missing"


class Coturn:
    """``async with Coturn(host) as turn: turn.ice_server("tls")``.

    Args:
        node: a `tests.interop.netns.Host`.
        address: where it listens.
        secret: time-limited credentials instead of the user "user" with the password "pass".
        ports: (udp and tcp, tls).
        options: further ones of the command line.
    """

    def __init__(self, node, address=None, *, secret=None, ports=(3478, 5349), authority=None, options=()):
        self.node = node
        self.address = address or node.ipv4
        self.secret = secret
        self.port, self.tls_port = ports
        self.authority = authority or CertificateAuthority()
        self.options = options
        self.process = None
        self._folder = None

    async def __aenter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="rtcpeer-coturn-")
        folder = Path(self._folder.name)
        certificate, key = self.authority.issue([self.address])
        (folder / "certificate.pem").write_text(certificate)
        (folder / "key.pem").write_text(key)
        await self.start()
        return self

    async def start(self):
        folder = Path(self._folder.name)
        credentials = (
            ["--use-auth-secret", f"--static-auth-secret={self.secret}"]
            if self.secret
            else ["--lt-cred-mech", "--user=user:pass"]
        )
        log = (folder / "log").open("w")
        options = [
            "-n",
            "--no-cli",
            "--fingerprint",
            "--log-file=stdout",
            "--simple-log",
            "--verbose",
            "--realm=rtcpeer.test",
            f"--listening-ip={self.address}",
            f"--relay-ip={self.address}",
            f"--listening-port={self.port}",
            f"--tls-listening-port={self.tls_port}",
            f"--cert={folder / 'certificate.pem'}",
            f"--pkey={folder / 'key.pem'}",
            f"--pidfile={folder / 'pid'}",
            f"--userdb={folder / 'db'}",
            *credentials,
            *self.options,
        ]
        # not asyncio's: it must be possible to kill it without a word, from anywhere
        self.process = subprocess.Popen(  # noqa: ASYNC220
            self.node.command("turnserver", *options), stdout=log, stderr=log, cwd=folder
        )
        log.close()
        for _ in range(200):
            if self._listens():
                return
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        raise RuntimeError(f"coturn does not start:\n{self.log[-2000:]}")

    def _listens(self):
        shown = subprocess.run(
            self.node.command("ss", "-Hltn", f"sport = :{self.tls_port}"), capture_output=True, text=True
        )
        udp = subprocess.run(
            self.node.command("ss", "-Hlun", f"sport = :{self.port}"), capture_output=True, text=True
        )
        return bool(shown.stdout.strip() and udp.stdout.strip())

    @property
    def log(self):
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    def kill(self):
        """At once, nobody is told."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    async def __aexit__(self, *_exc):
        self.kill()
        self._folder.cleanup()

    @property
    def host(self):
        return f"[{self.address}]" if ":" in self.address else self.address

    def url(self, transport="udp"):
        if transport in ("tls", "dtls"):
            return f"turns:{self.host}:{self.tls_port}?transport={'tcp' if transport == 'tls' else 'udp'}"
        return f"turn:{self.host}:{self.port}?transport={transport}"

    @property
    def stun(self):
        return {"urls": f"stun:{self.host}:{self.port}"}

    @property
    def stuns(self):
        return {"urls": f"stuns:{self.host}:{self.tls_port}"}

    def ice_server(self, *transports, expires=None):
        username, credential = "user", "pass"
        if self.secret:
            import time

            username = f"{int(time.time()) + (expires or 3600)}:someone"
            credential = rest_password(self.secret, username)
        urls = [self.url(transport) for transport in transports or ("udp",)]
        return {"urls": urls, "username": username, "credential": credential}
