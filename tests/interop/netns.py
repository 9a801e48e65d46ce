"""Real networks on one machine: network namespaces as hosts, nftables as NATs and firewalls, wires between.

Everything has names of its own and is removed at the end. Needs root.
"""

import array
import contextlib
import fcntl
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)

# ethtool's commands: checksums, scatter-gather and segmentation are done before a packet enters a wire,
# which carries frames as they are
_OFFLOADS = (0x17, 0x19, 0x1F, 0x22, 0x24, 0x2C)
_SIOCETHTOOL = 0x8946


def why_not():
    """Why namespaces cannot be made here; None if they can."""
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    for tool in ("ip", "nft"):
        try:
            subprocess.run([tool, "-V"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return f"the program {tool} is missing"
    name = f"rtcpeer-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"ip netns add: {made.stderr.strip()}"
    tried = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "add", "table", "inet", "t"], capture_output=True, text=True
    )
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return f"nft: {tried.stderr.strip()}" if tried.returncode else None


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def _without_offloads(interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _OFFLOADS:
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):
                fcntl.ioctl(sock, _SIOCETHTOOL, request)


class Node:
    """A namespace."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.namespace = f"{lab.tag}-{name}"
        run("ip", "netns", "add", self.namespace)
        lab.nodes.append(self)
        self.ip("link", "set", "lo", "up")
        self.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv6.conf.all.accept_dad=0")
        self.sysctl("net.ipv6.conf.default.accept_dad=0", "net.ipv4.conf.default.rp_filter=0")

    def ip(self, *command):
        return run("ip", "-n", self.namespace, *command)

    def sysctl(self, *settings):
        # by hand: the program of this name is in a package of its own
        pairs = (setting.split("=") for setting in settings)
        lines = (f"echo {value} >/proc/sys/{name.replace('.', '/')}" for name, value in pairs)
        run("ip", "netns", "exec", self.namespace, "sh", "-ec", "\n".join(lines))

    def command(self, *command):
        """A command line that runs inside."""
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    def nft(self, text):
        done = subprocess.run(
            self.command("nft", "-f", "-"), input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"nft: {done.stderr}")

    def address(self, interface, family):
        found = self.ip("-o", "addr", "show", "dev", interface, "scope", "global")
        return re.search(r"inet6 ([^/]+)/" if family == 6 else r"inet ([^/]+)/", found).group(1)


class Host(Node):
    """A computer with one interface, eth0."""

    interface = "eth0"

    @property
    def ipv4(self):
        return self.address(self.interface, 4)

    @property
    def ipv6(self):
        return self.address(self.interface, 6)

    def change_address(self, new):
        """Another IPv4 address; what was bound to the old one is dead."""
        old = self.ipv4
        route = self.ip("route", "show", "default").split()
        self.ip("addr", "del", f"{old}/24", "dev", self.interface)
        self.ip("addr", "add", f"{new}/24", "dev", self.interface)
        if "via" in route:
            self.ip("route", "replace", "default", "via", route[route.index("via") + 1])
        return old

    def count_udp(self, *others):
        """Count UDP packets to and from addresses; `counted` tells."""
        chains = "".join(
            f"chain {hook}{n} {{\n type filter hook {hook} priority 0;\n"
            f" meta l4proto udp ip {side} {other} counter;\n}}\n"
            for n, other in enumerate(others)
            for hook, side in (("input", "saddr"), ("output", "daddr"))
        )
        self.nft(f"table inet counting {{\n{chains}}}\n")

    def counted(self):
        text = run(*self.command("nft", "list", "table", "inet", "counting"))
        return sum(int(n) for n in re.findall(r"counter packets (\d+)", text))


# Source ports of a "symmetric" NAT differ for each destination; Linux' own masquerading keeps the port where it
# can, which is a port-restricted cone.
_MASQUERADE = {"port-restricted": "masquerade", "symmetric": "masquerade fully-random"}

_FIREWALLS = {
    "open": "",
    "block-udp": "meta l4proto udp drop",
    "only-443": "tcp dport != 443 ct direction original drop; meta l4proto udp drop",
}


class Router(Node):
    """A NAT: "wan" outside, a bridge "lan" inside."""

    interface = "wan"

    def __init__(self, lab, name, nat, firewall, number):
        super().__init__(lab, name)
        self.prefix = f"192.168.{number}"
        self.prefix6 = f"2001:db8:{number}"
        self._hosts = itertools.count(2)
        self.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.ip("link", "add", "lan", "type", "bridge")
        self.ip("addr", "add", f"{self.prefix}.1/24", "dev", "lan")
        self.ip("addr", "add", f"{self.prefix6}::1/64", "dev", "lan")
        self.ip("link", "set", "lan", "up")
        # What nobody has asked for is dropped, not refused: a refusal would leave a connection entry behind
        # that takes the port away from the packet that is about to go out.
        self.nft(
            f"""table inet router {{
              chain input {{ type filter hook input priority 0; iifname "wan" ct state new drop; }}
              chain forward {{ type filter hook forward priority 0;
                iifname "wan" ct state new ip version 4 drop
                {_FIREWALLS[firewall]}
              }}
              chain post {{ type nat hook postrouting priority 100;
                oifname "wan" ip version 4 {_MASQUERADE[nat]}
              }}
            }}"""
            if nat
            else f"table inet r {{\nchain f {{\ntype filter hook forward priority 0;\n{_FIREWALLS[firewall]}\n}}\n}}\n"
        )

    def add_host(self, name):
        host = Host(self.lab, name)
        self.lab.connect(host, "eth0", self, "lan")
        number = next(self._hosts)
        host.ip("addr", "add", f"{self.prefix}.{number}/24", "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        host.ip("route", "add", "default", "via", f"{self.prefix}.1")
        host.uplink = self.uplink
        return host


class Lab:
    """A small internet: a bridge that public hosts and routers are plugged into by wires.

    Args:
        delay: of each uplink, one way.
    """

    def __init__(self, delay=0.015, seed=0):
        self.tag = f"rp{os.getpid() % 100000}x{next(_numbers)}"
        self.delay = delay
        self.nodes = []
        self._links = itertools.count()
        self._addresses = itertools.count(1)
        self._routers = itertools.count(1)
        self._wires = None
        try:
            self.core = Node(self, "core")
            self.core.ip("link", "add", "net", "type", "bridge")
            # where everything goes that is nowhere: swallowed without a word, as private addresses are on the
            # internet (coturn ends a session when the system says "unreachable")
            self.core.ip("addr", "add", "198.51.100.254/24", "dev", "net")
            self.core.ip("addr", "add", "2001:db8::fffe/64", "dev", "net")
            self.core.ip("link", "set", "net", "up")
            self._closet = Node(self, "wires")
            self._wires = subprocess.Popen(
                self._closet.command(sys.executable, Path(__file__).parent / "wire.py", seed),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        if self._wires is not None:
            self._wires.stdin.close()
            self._wires.wait(10)
            self._wires.stdout.close()
        for node in reversed(self.nodes):
            for process in run("ip", "netns", "pids", node.namespace).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), 9)
            run("ip", "netns", "del", node.namespace)
        self.nodes.clear()

    def tell_wire(self, name, **change):
        self._wires.stdin.write(json.dumps({"name": name, **change}) + "\n")
        self._wires.stdin.flush()
        assert self._wires.stdout.readline() == "ok\n"

    def connect(self, node, interface, other, bridge):
        """Plug an interface of a node into a bridge of another."""
        end = f"{self.tag}v{next(self._links)}"[-15:]
        far = f"{self.tag}v{next(self._links)}"[-15:]
        run("ip", "link", "add", end, "type", "veth", "peer", "name", far)
        _without_offloads(end)
        _without_offloads(far)
        run("ip", "link", "set", end, "netns", node.namespace, "name", interface)
        run("ip", "link", "set", far, "netns", other.namespace)
        other.ip("link", "set", far, "master", bridge, "up")

    def _wire(self, node, interface):
        """Plug an interface into the core through a wire, which gets the node's name."""
        number = next(self._links)
        near, far = f"w{number}a", f"w{number}b"
        for end, other, owner, name in ((near, 0, node, interface), (far, 1, self.core, f"c{number}")):
            inner, outer = f"{self.tag}i{number}{other}"[-15:], f"{self.tag}o{number}{other}"[-15:]
            run("ip", "link", "add", inner, "type", "veth", "peer", "name", outer)
            _without_offloads(inner)
            _without_offloads(outer)
            run("ip", "link", "set", inner, "netns", self._closet.namespace, "name", end)
            run("ip", "link", "set", outer, "netns", owner.namespace, "name", name)
            self._closet.ip("link", "set", end, "promisc", "on", "up")
        self.core.ip("link", "set", f"c{number}", "master", "net", "up")
        node.ip("link", "set", interface, "up")
        # An outage here swallows ARP too, and the kernel asks again only each second: that would be measured
        # instead of what happens beyond the first hop, which is where outages are meant to be.
        for family in ("arp_cache", "ndisc_cache"):
            node.ip("ntable", "change", "name", family, "dev", interface, "retrans", "50")
        self.tell_wire(node.name, ends=[near, far], delay=self.delay)
        node.uplink = Uplink(self, node.name)

    def _address(self, node, *, ipv4=True, ipv6=False):
        number = next(self._addresses)
        if ipv4:
            node.ip("addr", "add", f"198.51.100.{number}/24", "dev", node.interface)
            node.ip("route", "add", "default", "via", "198.51.100.254")
        if ipv6:
            node.ip("addr", "add", f"2001:db8::{number:x}/64", "dev", node.interface)
            node.ip("route", "add", "default", "via", "2001:db8::fffe")

    def add_host(self, name, *, ipv4=True, ipv6=False, wire=True):
        """A host on the internet; servers need no wire."""
        host = Host(self, name)
        if wire:
            self._wire(host, "eth0")
        else:
            self.connect(host, "eth0", self.core, "net")
        host.ip("link", "set", "eth0", "up")
        self._address(host, ipv4=ipv4, ipv6=ipv6)
        return host

    def add_router(self, name, *, nat="port-restricted", firewall="open"):
        router = Router(self, name, nat, firewall, next(self._routers))
        self._wire(router, "wan")
        self._address(router)
        return router


class Uplink:
    """The wire of a host, or of the router that it is behind."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

    def set(self, **change):
        self.lab.tell_wire(self.name, **change)

    @contextlib.contextmanager
    def outage(self):
        self.set(down=True)
        try:
            yield
        finally:
            self.set(down=False)
