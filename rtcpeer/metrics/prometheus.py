"""A collector for prometheus-client: reads the metrics when they are scraped (the extra ``metrics``)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from rtcpeer.metrics.collection import Metrics
from rtcpeer.metrics.names import METRICS, Metric


class PrometheusCollector(Collector):
    """Gives `Metrics` to a registry of prometheus-client.

    Scrapes may come in any thread, as `prometheus_client.start_http_server` has them.

    Args:
        metrics: what is measured.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Family]:
        """All metrics without values, so that registering reads nothing."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterable[Family]:
        """All metrics with their values of this moment."""
        families = {metric: _family(metric) for metric in METRICS}
        self._metrics.write(_Families(families))
        return list(families.values())


class _Families:
    """Sorts samples into families. Implements `Sink`."""

    def __init__(self, families: dict[Metric, CounterMetricFamily | GaugeMetricFamily]) -> None:
        self._families = families

    def sample(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        self._families[metric].add_metric(list(labels), value)


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=list(metric.labels))
