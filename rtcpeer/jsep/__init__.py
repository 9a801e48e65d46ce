"""JSEP (RFC 9429) as pure functions: a state and a description go in, a plan comes out. No I/O, no clock, no chance.

In reading order: `engine` (the entrance), `state` (the one frozen value), `effects` (what a plan is), `transitions`
(the signaling table), `inputs` (what the engine is given), `draft` (a state under change); `create_offer` and
`create_answer` with `sections`; `set_description` with `validation`, `negotiated`, `transports`, `remote_tracks`,
`rollback`; `operations` (changes without a description), `negotiation_needed`. What they know of: `transceivers`,
`codecs`, `extensions`, `encodings`, `candidates`, `descriptions`.
"""
