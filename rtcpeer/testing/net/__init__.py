"""The virtual network: hosts, NATs, loss and outages inside the event loop.

In reading order: `network` (what tests make), `topology` (segments and routers), `link`, `nat`, `packet`; `host`,
`host_network`, `sockets`, `tcp` and `tls` (what programs on a host see); `outage`, `profiles` (hostile networks by
name).
"""
