"""aiortc.contrib, as it is: its media sources and sinks, and its signaling, work with our connections."""
