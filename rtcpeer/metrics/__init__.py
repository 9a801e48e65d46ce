"""Numbers of many connections for a monitoring system: summed, bounded, read when they are asked for.

    metrics = Metrics()
    metrics.add(pc)
    prometheus_client.REGISTRY.register(PrometheusCollector(metrics))

`Metrics` holds connections weakly and feeds any `Sink`; `PrometheusCollector` needs the extra ``metrics``.

In reading order: `names` (the metrics), `entries` (what is remembered of a connection), `collection` (the sums),
`prometheus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtcpeer.metrics.collection import Metrics, Sink
from rtcpeer.metrics.names import METRICS, Metric

if TYPE_CHECKING:
    from rtcpeer.metrics.prometheus import PrometheusCollector

__all__ = ["METRICS", "Metric", "Metrics", "PrometheusCollector", "Sink"]


def __getattr__(name: str) -> Any:
    if name == "PrometheusCollector":
        from rtcpeer.metrics.prometheus import PrometheusCollector

        return PrometheusCollector
    raise AttributeError(f"module 'rtcpeer.metrics' has no attribute {name!r}")
