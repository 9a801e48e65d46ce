"""SCTP over DTLS and the data channels on it (RFC 9260, 3758, 6525, 8831, 8832).

The association is sans-I/O: packets, the time and random numbers are arguments, packets come back as values.
In reading order:

- `packets`: the codec of packets, chunks and parameters.
- `tracker`: which transmission sequence numbers have arrived.
- `reassembly`: from chunks to whole messages in their order.
- `receive_queue`: what has arrived, what is kept, when it is acknowledged.
- `congestion`: congestion window and retransmission timeout.
- `reordering`: how late packets come on a path that changes their order, and which losses were none.
- `outgoing`: one message that is sent, and one chunk of it.
- `send_queue`: what is queued, on its way, sent again, given up.
- `resets`: stream reconfiguration.
- `interfaces`: what an association calls on its user.
- `handshake`: INIT and its state cookie.
- `association`: the state machine over all of these.
- `channel`: one data channel and the messages that open it; `schedule` says whose turn it is.
- `transport`: the adapter to the event loop and to DTLS.
"""
