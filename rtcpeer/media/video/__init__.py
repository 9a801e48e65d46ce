"""Video codecs on libav, a file each.

In reading order: `choice` (which coder a negotiated codec has), `pictures` (what all have in common), `libvpx` (its
encoders without libav), `layering` (temporal layers), `bits` and `annexb` (reading of headers), `vp8`, `vp9`, `av1`,
`h264` with `h264_levels`, `h265`; `registered` (encoders that programs choose).
"""
