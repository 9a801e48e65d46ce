import pytest

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.servers import IceServerEntry, parse_server_url, shown_url
from rtcpeer.errors import RTCSyntaxError


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "transport"),
    [
        ("stun:example.org", "stun", "example.org", 3478, "udp"),
        ("stun:example.org:", "stun", "example.org", 3478, "udp"),
        ("stuns:example.org", "stuns", "example.org", 5349, "udp"),
        ("turn:example.org", "turn", "example.org", 3478, "udp"),
        ("turns:example.org", "turns", "example.org", 5349, "tcp"),
        ("turn:example.org:80?transport=tcp", "turn", "example.org", 80, "tcp"),
        ("turn:example.org?transport=udp", "turn", "example.org", 3478, "udp"),
        ("turns:example.org:443?transport=tcp", "turns", "example.org", 443, "tcp"),
        # DTLS to the TURN server: valid, whoever cannot use it says so
        ("turns:example.org?transport=udp", "turns", "example.org", 5349, "udp"),
        ("STUN:Example.ORG", "stun", "example.org", 3478, "udp"),
        ("stun:example.org.", "stun", "example.org.", 3478, "udp"),
        ("stun:my_host:65535", "stun", "my_host", 65535, "udp"),
        ("stun:example.org:00080", "stun", "example.org", 80, "udp"),
        ("stun:example.org:0003478", "stun", "example.org", 3478, "udp"),
        ("turn:example.org:00000000000000005349?transport=tcp", "turn", "example.org", 5349, "tcp"),
        ("turn:[2001:DB8::1]:0000080", "turn", "2001:db8::1", 80, "udp"),
        ("turn:[2001:DB8::1]", "turn", "2001:db8::1", 3478, "udp"),
        ("turn:[::1]:5000?transport=tcp", "turn", "::1", 5000, "tcp"),
        ("stun:192.0.2.7:1", "stun", "192.0.2.7", 1, "udp"),
        # URL Standard, IPv4 parser
        ("stun:127.1", "stun", "127.0.0.1", 3478, "udp"),
        ("stun:0x7f.0.0.010", "stun", "127.0.0.8", 3478, "udp"),
        ("stun:2130706433", "stun", "127.0.0.1", 3478, "udp"),
        ("stun:0x", "stun", "0.0.0.0", 3478, "udp"),
        ("stun:0", "stun", "0.0.0.0", 3478, "udp"),
        (" stun:example.org! ", "stun", "example.org!", 3478, "udp"),
        ("stun:00.0.00.0x0", "stun", "0.0.0.0", 3478, "udp"),
        ("stun:255.255.255.255", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:255.16777215", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:255.255.65535", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:4294967295", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:037777777777", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:0XFFFFFFFF", "stun", "255.255.255.255", 3478, "udp"),
        ("stun:1.2.3.07.", "stun", "1.2.3.7", 3478, "udp"),
        ("stun:0x000000000000000000007f." + "0" * 5000 + "1", "stun", "127.0.0.1", 3478, "udp"),
        # what only begins like a number is a name
        ("stun:a.0xyz", "stun", "a.0xyz", 3478, "udp"),
        ("stun:a.0xg1", "stun", "a.0xg1", 3478, "udp"),
        ("stun:" + "a" * 63 + ".org", "stun", "a" * 63 + ".org", 3478, "udp"),
        ("stun:" + "a." * 126 + "a", "stun", "a." * 126 + "a", 3478, "udp"),
        ("stun:" + "a." * 126 + "a.", "stun", "a." * 126 + "a.", 3478, "udp"),
        ("stun:ex%61mple.org", "stun", "example.org", 3478, "udp"),
        ("stun:b\u00fccher.example", "stun", "xn--bcher-kva.example", 3478, "udp"),
        ("stun:b%C3%BCcher.example", "stun", "xn--bcher-kva.example", 3478, "udp"),
        (" \tstun:exam\nple.org\r\n", "stun", "example.org", 3478, "udp"),
    ],
)
def test_valid(url: str, scheme: str, host: str, port: int, transport: str) -> None:
    parsed = parse_server_url(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.transport) == (scheme, host, port, transport)
    assert parsed.is_turn == scheme.startswith("turn")
    assert parsed.is_secure == scheme.endswith("s")
    assert str(parsed) == parsed.url


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        ":",
        "relative-url",
        "example.org:3478",
        "http://example.com",
        "https:example.com",
        "stunx:example.org",
        "stun",
        "stun:",
        "stun::3478",
        "stun://example.org",
        "stun:/example.org",
        "stun:example.org/",
        "stun:example.org/path",
        "stun:example.org\\path",
        "stun://example.org/foo?x=y",
        "turn://example.org/foo?x=y",
        "stun:example.org?",
        "stun:example.org?transport=udp",
        "stuns:example.org?transport=tcp",
        "turn:example.org?",
        "turn:example.org?transport=",
        "turn:example.org?transport=UDP",
        "turn:example.org?transport=sctp",
        "turn:example.org?transport=udp&x=y",
        "turn:example.org?x=y",
        "turn:example.org#",
        "turn:example.org?transport=udp#x",
        "turn:user@example.org",
        "turn:user:secret@example.org",
        "stun:example.org:0",
        "stun:example.org:65536",
        "stun:example.org:99999999999999999999",
        "stun:example.org:80:80",
        "stun:example.org:-1",
        "stun:example.org:8o",
        "stun:example.org:\u0661",  # a digit, but not of ASCII
        "stun:exa mple.org",
        "stun:a..b",
        "stun:.example.org",
        "stun:.",
        "stun:" + "a" * 64 + ".org",
        "stun:" + ".".join(["a" * 60] * 5),
        "stun:%",
        "stun:%zz",
        "stun:%ff",
        "stun:a%2fb",
        "stun:<b>",
        "stun:1.2.3.4.5",
        "stun:1.2.3.4.0",
        "stun:1_0.2.3.4",
        "stun:+1.2.3.4",
        "stun:-1.2.3.4",
        "stun:0x-1.2.3.4",
        "stun:0x_f.2.3.4",
        "stun:0_7.1",
        "stun:1e.2.3.4",
        "stun:1.256.3.4",
        "stun:1.2.256.4",
        "stun:1.16777216",
        "stun:1.2.3.09",
        "stun:4294967296",
        "stun:0x100000000",
        "stun:040000000000",
        "stun:1.2.3.0x" + "f" * 5000,
        "stun:a." + "a." * 126 + "a",
        "stun:" + "a." * 126 + "aa",
        "stun:" + "a." * 126 + "aa.",
        "stun:256.0.0.1",
        "stun:1.2.3.256",
        "stun:1.2.65536",
        "stun:example.09",
        "stun:1.2.3.0xfg1.1",
        "stun:" + "1" * 5000,
        "stun:2001:db8::1",
        "stun:[2001:db8::1",
        "stun:2001:db8::1]",
        "stun:[]",
        "stun:[::1]x",
        "stun:[::1%25eth0]",
        "stun:[fe80::1%eth0]",
        "stun:[192.0.2.1]",
        "stun:[v1.x]",
        "stun:\udc80",
        "stun:\u00ad",
    ],
)
def test_invalid(url: str) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        parse_server_url(url)
    assert caught.value.name == "SyntaxError"
    assert len(str(caught.value)) < 400


def test_a_password_in_the_url_is_not_repeated() -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        parse_server_url("turn:user:hunter2@example.org")
    assert "hunter2" not in str(caught.value)
    assert "example.org" in str(caught.value)


def test_entries_are_equal_with_equal_credentials_and_hide_them() -> None:
    url = parse_server_url("turn:example.org")
    entry = IceServerEntry(url, "user", "hunter2")
    assert entry == IceServerEntry(parse_server_url("turn:example.org"), "user", "hunter2")
    assert entry != IceServerEntry(url, "user", "other")
    assert "hunter2" not in repr(entry)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("turn:user:hunter2@example.org", "turn:example.org"),
        ("turn://user:hunter2@example.org/x", "turn:example.org"),
        ("turn:example.org?credential=hunter2", "turn:example.org"),
        ("turn:example.org#hunter2", "turn:example.org"),
        ("turn:example.org/hunter2", "turn:example.org"),
        ("turn:example.org:hunter2", "turn:example.org"),
        ("turn:[2001:db8::1]?hunter2", "turn:[2001:db8::1]"),
        ("turnq:example.org", "turnq:example.org"),
        ("turn:hunter2@a@example.org", "turn:example.org"),
        ("turn:hunter2@", "turn:..."),
        ("hunter2", "..."),
        ("hunter2:example.org", "..."),
    ],
)
def test_of_a_malformed_url_scheme_and_host_alone_are_shown(url: str, shown: str) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        parse_server_url(url)
    assert repr(shown) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert shown_url(url) == shown
    assert "hunter2" not in repr(RTCIceServer(url))
    assert "hunter2" not in repr(RTCIceServer([url]))


def test_a_valid_url_is_shown_whole() -> None:
    assert shown_url("turn:example.org:80?transport=tcp") == "turn:example.org:80?transport=tcp"


@pytest.mark.parametrize(
    ("port", "value"), [("0003478", 3478), ("00000000080", 80), ("065535", 65535), ("0" * 5000 + "9", 9)]
)
def test_a_port_may_have_leading_zeros(port: str, value: int) -> None:
    """URL Standard, "port state": digits are a number, however many."""
    assert parse_server_url(f"stun:h.example:{port}").port == value


@pytest.mark.parametrize(
    "port", ["00000", "065536", "000100000", "0" * 5000, "0" * 5000 + "65536", "9" * 5000]
)
def test_leading_zeros_make_no_port_of_a_wrong_number(port: str) -> None:
    with pytest.raises(RTCSyntaxError, match="the port is not in"):
        parse_server_url(f"stun:h.example:{port}")
