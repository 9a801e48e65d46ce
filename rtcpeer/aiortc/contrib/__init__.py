"""aiortc.contrib with our recorder and player: `media`, `signaling`."""
