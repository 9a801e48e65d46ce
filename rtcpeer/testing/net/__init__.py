"""The virtual network: hosts, NATs, loss and outages inside the event loop.

In reading order: `network` (what tests make), `router` and `nat`, `topology` (segments), `link`, `medium` (packets in
flight), `names`, `packet`; `host` (with the network that its programs see), `sockets`, `tcp` and `tls`; `outage`,
`profiles` (hostile networks by name).
"""
