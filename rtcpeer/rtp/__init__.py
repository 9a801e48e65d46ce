"""RTP and RTCP: packets, sessions, SRTP, buffers, corrections; and forwarding without decoding.

The parts of forwarding need no socket, clock or codec. In reading order: `relay_packet` (what is read of a packet, once
for all its subscribers), `payloads` (where a key frame begins; the VP8 descriptor), `history` (packets kept for
retransmission), `reception` (what a stream lacks), `keyframes` (one pending request per stream), `clocks` (the
sender's, read from its reports), `munging` (numbers and times that go on over changes of the source), `headers`
(packets as one kind of subscriber gets them), `forwarding` (from a stream to its outputs), `layers` (which simulcast
stream an output gets), `source` (all streams of one receiver), `dependency` (which layer a frame belongs to).
"""
