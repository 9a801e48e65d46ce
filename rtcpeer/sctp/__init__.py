"""SCTP and data channels."""
