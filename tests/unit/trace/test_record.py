"""The record that a tracer keeps of a connection, in the form of webrtc-internals."""

from __future__ import annotations

import json

from rtcpeer.trace.record import VALUE_MAX, Record


def record(**bounds: int) -> Record:
    return Record("{}", **{"events_max": 20, "samples_max": 3, "series_max": 2, **bounds})


def test_the_beginning_and_the_end_of_the_log_are_kept():
    made = record()
    for number in range(100):
        made.log(float(number), "event", str(number))
    values = [int(entry["value"]) for entry in made.dump(1)["updateLog"]]
    assert values == [0, 1, *range(82, 100)]
    assert made.dropped == 80


def test_a_long_value_is_cut():
    made = record()
    made.log(1.0, "setLocalDescription", "x" * (VALUE_MAX + 1))
    (entry,) = made.dump(1)["updateLog"]
    assert len(entry["value"]) == VALUE_MAX
    assert entry["timestamp"] == 1000.0


def test_the_newest_values_of_a_bounded_number_of_series():
    made = record()
    for number in range(5):
        made.sample(float(number), [{"id": "T1", "type": "transport", "a": number, "b": "x", "c": 0}])
    dump = made.dump(7)
    assert dump["pid"] == 7
    assert set(dump["stats"]) == {"T1-a", "T1-b"}
    series = dump["stats"]["T1-a"]
    assert json.loads(series["values"]) == [2, 3, 4]
    assert (series["statsType"], series["startTime"]) == ("transport", "1970-01-01T00:00:02.000Z")
    assert series["endTime"] == "1970-01-01T00:00:04.000Z"
    assert made.dropped == 5
