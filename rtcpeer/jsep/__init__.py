"""JSEP (RFC 9429) as pure functions: a state and a description go in, a plan comes out. No I/O, no clock, no chance.

In reading order: `engine` (the entrance), `state` and `holder` (the one frozen value and its place), `effects` (what a
plan is), `transitions` (the signaling table), `context`, `draft` (a state under change); `create_offer` and
`create_answer` with `sections`; `set_description` with `validation`, `negotiated`, `start_transports`, `remote_tracks`,
`rollback`; `operations` (changes without a description), `negotiation_needed`. What they know of: `transceivers`,
`transports`, `codecs`, `extensions`, `encodings`, `settings`, `candidates`, `descriptions`.
"""
