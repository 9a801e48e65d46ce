"""Video codecs beyond aiortc's, one file each."""
