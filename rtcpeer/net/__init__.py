"""The network below ICE: real here, virtual in `rtcpeer.testing.net`.

In reading order: `network` (protocols that both fulfil), `current` (the one in force), `system` (sockets of the
operating system), `offload` (many datagrams in one system call), `departures` (which of them leave together),
`icmp` (errors), `interfaces` (changes of addresses), `lookup` and `mdns` (names).
"""
