"""Media: tracks and streams, senders and receivers, codecs, files.

In reading order: `event_target` (events, of everything that has some), `track` and `stream` (what programs hold),
`source` with `frame_queue` and `source_statistics` (local tracks), `frames`, `orientation`, `pcm`; then the way out,
`sender` on `send_section` and `send_stream`, `encoding_group`, `frame_budget`, `degradation`, `quality_limitation`,
`encoding`, `sound`, `pacing`, `dtmf`, `scheduling`; and the way in, `receiver` on `receive_section`, `depacketizer`,
`delivery` (of whole frames), `decoding`, `concealment`, `packet_streams`; `codecs` and the package `video`; `workers`
(threads).

Without decoding: `encoded_frames`, `encoded_sending`, `encoded_receiving`, `encoded_track`, `transforms`, `sframe`,
`tapping`, `relaying`, `sender_forwarding`, `auto_forwarding`. Files and programs: `player` on `file_source`,
`recorder` on `file_streams` and `file_time`, `audio_source`. `aiortc_adapter` and `exceptions` hold the names of
aiortc, `pyee_listeners` the listeners of its kind.
"""
