"""A connection, as its transports know it: writes down what it is told."""


class FakeOwner:
    def __init__(self):
        self.log = []

    def _announce(self):
        self.log.append("announced")

    def ice_changed(self, ice):
        self.log.append(f"ice changed {ice.state.value}")
        return self._announce

    def ice_gathering_changed(self, ice):
        self.log.append(f"gathering changed {ice.gathering_state.value}")
        return self._announce

    def ice_candidate(self, ice, candidate):
        self.log.append(f"candidate {candidate and candidate.port}")

    def ice_candidate_error(self, ice, error):
        self.log.append(f"candidate error {error.error_code}")

    def ice_network_changed(self, ice):
        self.log.append("network changed")

    def dtls_changed(self, dtls):
        self.log.append(f"dtls changed {dtls.state.value}")
        return self._announce

    def data_channel(self, sctp, channel):
        self.log.append(f"channel {channel}")


def watch(log, face, *types):
    for type in types:
        face.addEventListener(type, lambda event: log.append(f"{event.type} {face.state.value}"))
