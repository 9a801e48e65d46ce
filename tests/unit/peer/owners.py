"""A connection, as its transports know it: writes down what it is told."""


class FakeOwner:
    """Its `ice` and `dtls` are set by the test that makes them."""

    def __init__(self):
        self.log = []

    def _announce(self):
        self.log.append("announced")

    def ice_changed(self):
        self.log.append(f"ice changed {self.ice.state.value}")
        return self._announce

    def ice_gathering_changed(self):
        self.log.append(f"gathering changed {self.ice.gathering_state.value}")
        return self._announce

    def ice_candidate(self, candidate):
        self.log.append(f"candidate {candidate and candidate.port}")

    def ice_candidate_error(self, error):
        self.log.append(f"candidate error {error.error_code}")

    def ice_network_changed(self):
        self.log.append("network changed")

    def dtls_changed(self):
        self.log.append(f"dtls changed {self.dtls.state.value}")
        return self._announce


def watch(log, face, *types):
    for type in types:
        face.addEventListener(type, lambda event: log.append(f"{event.type} {face.state.value}"))
