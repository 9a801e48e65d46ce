"""The session behind the W3C face: it owns everything that runs, and carries out the engine's plans.

In reading order: `session`, `operations` (whose turn it is), `executor` (plans become objects and events),
`transport` and `transport_owner` (an ICE agent with its DTLS), `transceiver`, `data_channels`
and `channel`; `states` and `aggregates` (the states that are shown), `shown_descriptions`, `capabilities`, `entropy`;
`stats_collector`, `diagnosis` and `explain` (why it is so), `watching` (metrics and tracers).
"""
