"""RTP and RTCP: packets, sessions, SRTP, buffers, corrections; and forwarding without decoding.

In reading order: `packet`, `rtcp`, `parameters` (what negotiation decides; senders and receivers act on it), `session`
(the packets of one transport) with `routing`, `send_state`, `srtp`, `libsrtp` and `decryption`; `outbound` and
`inbound` (one stream each way), `jitter_buffer` (pictures) with `packet_requests` (NACK), `sound_buffer`, `given_up`
(what a buffer no longer waits for), `playout`, `timeline`, `rendering` (freezes), `frame_rate`; `fec` and `red`
(corrections), `audio_level`, `contributing_sources`; the package `congestion`.

The parts of forwarding need no socket, clock or codec. In reading order: `relay_packet` (what is read of a packet,
once for all its subscribers), `payloads` (where a key frame begins; the VP8 descriptor), `history` (packets kept for
retransmission), `reception` (what a stream lacks), `keyframes` (one pending request per stream), `clocks` (the
sender's, read from its reports), `munging` (numbers and times that go on over changes of the source), `headers`
(packets as one kind of subscriber gets them), `forwarding` (from a stream to its outputs), `repeating` (what is
sent again), `layers` (which simulcast stream an output gets), `dependency` and `temporal` (which layer a packet belongs
to), `thinning` (streams with fewer temporal layers), `source` (all streams of one receiver). `fan_out` does with
optional code in C, which `build_helper` compiles, what `forwarding` and `session` do for each output.
"""
