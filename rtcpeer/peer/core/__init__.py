"""The state behind the objects of the W3C face, and what those objects share, one level below them.

In reading order: `context` (what the parts of one connection share), `operations` (whose turn it is), `transceiver`,
`channel`; `states` (the states that are shown), `watching` (metrics and tracers). Nothing here imports a face object:
the session makes those and hands them in.
"""
