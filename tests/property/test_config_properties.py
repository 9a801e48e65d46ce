"""What holds for every configuration: validation is total, idempotent, keeps order, and never half done."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from rtcpeer.config.configuration import copy_configuration, read_configuration
from rtcpeer.config.manager import ConfigurationManager, difference
from rtcpeer.config.readers import read_ice_servers, read_link_headers
from rtcpeer.config.servers import parse_server_url
from rtcpeer.errors import RtcPeerError, RTCSyntaxError

label = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
host = st.one_of(
    st.lists(label, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: f"[{a}]"),
)
port = st.one_of(st.none(), st.integers(1, 65535))
scheme = st.sampled_from(["stun", "stuns", "turn", "turns"])
text = st.text(max_size=40).filter(lambda t: "\n" not in t)


@st.composite
def urls(draw: st.DrawFn) -> str:
    s, h, p = draw(scheme), draw(host), draw(port)
    query = draw(st.sampled_from(["", "?transport=udp", "?transport=tcp"])) if s.startswith("turn") else ""
    return f"{s}:{h}" + ("" if p is None else f":{p}") + query


printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)
servers = st.fixed_dictionaries(
    {
        "urls": st.one_of(urls(), st.lists(urls(), min_size=1, max_size=3)),
        "username": printable,
        "credential": printable.map(lambda t: t + "hunter2"),
    }
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "iceServers": st.lists(servers, max_size=4),
        "iceTransportPolicy": st.sampled_from(["all", "relay"]),
        "bundlePolicy": st.sampled_from(["balanced", "max-compat", "max-bundle"]),
        "rtcpMuxPolicy": st.just("require"),
        "iceCandidatePoolSize": st.integers(0, 255),
        "somethingNew": st.integers(),
    },
)
MEMBERS = ["iceServers", "urls", "url", "username", "credential", "iceTransportPolicy", "certificates", "ttl"]
MEMBERS += ["iceCandidatePoolSize", "ice_servers", "IceServerList", "Uris", "uris", "Ttl", "password"]
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), urls()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "iceServers",
                    "urls",
                    "url",
                    "username",
                    "credential",
                    "iceTransportPolicy",
                    "certificates",
                    "ttl",
                    "Ttl",
                    "password",
                    "iceCandidatePoolSize",
                    "ice_servers",
                    "IceServerList",
                    "Uris",
                    "uris",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(scheme, host, port)
def test_a_url_says_what_was_put_into_it(s: str, h: str, p: int | None) -> None:
    parsed = parse_server_url(f"{s}:{h}" + ("" if p is None else f":{p}"))
    assert parsed.scheme == s
    assert parsed.host == h.strip("[]")
    assert parsed.port == p or (p is None and parsed.port in (3478, 5349))


@given(st.one_of(text, st.tuples(scheme, text).map(":".join)))
def test_any_text_is_a_url_or_a_syntax_error(value: str) -> None:
    try:
        parsed = parse_server_url(value)
    except RTCSyntaxError:
        return
    assert parsed.host
    assert 1 <= parsed.port <= 65535
    assert parse_server_url(parsed.url) == parsed
    assert parsed.host.isascii()


@given(configurations)
def test_reading_is_idempotent_and_copies(value: dict[str, Any]) -> None:
    read = read_configuration(value)
    assert read_configuration(read) == read == copy_configuration(read)
    assert read_configuration(json.loads(json.dumps(value))) == read
    assert "hunter2" not in repr(read) + repr(read.entries)
    assert [e.url.url for e in read.entries] == [u for s in read.iceServers for u in s.urls]


@given(anything)
def test_anything_is_a_configuration_or_a_documented_exception(value: Any) -> None:
    try:
        read = read_configuration(value)
    except (TypeError, RtcPeerError):
        return
    assert read_configuration(read) == read


@given(configurations, anything, st.booleans(), st.booleans())
def test_a_replacement_is_done_whole_or_not_at_all(
    old: dict[str, Any], new: Any, closed: bool, described: bool
) -> None:
    manager = ConfigurationManager(old)
    before, copy = manager.current, manager.get()
    try:
        change = manager.plan_set(new, closed=closed, local_description_set=described)
    except (TypeError, RtcPeerError):
        assert manager.current is before
    else:
        assert manager.current is before
        manager.apply(change)
        assert manager.current == read_configuration(new)
    assert before == copy


@st.composite
def related(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two configurations that have servers in common: by chance alone they have none."""
    pool = draw(st.lists(servers, min_size=1, max_size=4))
    some = st.lists(st.sampled_from(pool), max_size=4)
    old, new = draw(configurations), draw(configurations)
    return {**old, "iceServers": draw(some)}, {**new, "iceServers": draw(some)}


@given(st.one_of(st.tuples(configurations, configurations), related()))
def test_difference_is_symmetric_and_complete(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = map(read_configuration, pair)
    there, back = difference(old, new), difference(new, old)
    assert there.added == back.removed
    assert there.removed == back.added
    assert set(there.unchanged) == set(back.unchanged)
    assert set(there.added) | set(there.unchanged) == set(new.entries)
    assert set(there.removed) | set(there.unchanged) == set(old.entries)
    assert set(there.unchanged) == set(old.entries) & set(new.entries)
    assert there.restart_required == back.restart_required
    assert not difference(old, read_configuration(old)).restart_required


@given(st.one_of(anything, text))
def test_any_document_gives_servers_or_a_syntax_error(document: Any) -> None:
    try:
        grant = read_ice_servers(document)
    except RTCSyntaxError as error:
        fault = error.fault
    else:
        fault = "remote"
        read_configuration(iceServers=grant.servers)
    assert fault == "remote"


@given(st.one_of(text, st.text('<>;=", abcrelstun:-', max_size=60)))
def test_any_link_header_gives_servers_or_a_syntax_error(header: str) -> None:
    try:
        grant = read_link_headers(header)
    except RTCSyntaxError as error:
        fault = error.fault
    else:
        fault = "remote"
        read_configuration(iceServers=grant.servers)
    assert fault == "remote"
