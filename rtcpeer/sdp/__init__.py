"""Session descriptions (RFC 8866) as frozen data, read from text and written to it.

In reading order: `model`, `text` (the reader), `building` and `attributes` (how it builds the model), `candidate`,
`writer`.
"""
