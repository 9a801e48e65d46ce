"""The network: protocols, the system's sockets, interfaces and their changes, mDNS."""
