"""Numbers of many connections for a monitoring system: summed, bounded, read when they are asked for.

    metrics = Metrics()
    metrics.add(pc)
    prometheus_client.REGISTRY.register(PrometheusCollector(metrics))

`Metrics` holds connections weakly and feeds any `Sink`; `PrometheusCollector` needs the extra ``metrics``.

In reading order: `names` (the metrics), `entries` (what is remembered of a connection), `collection` (the sums),
`prometheus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = [
    "METRICS",
    "Metric",
    "Metrics",
    "PrometheusCollector",
    "Sink",
]

if TYPE_CHECKING:
    from rtcpeer.metrics.collection import Metrics, Sink
    from rtcpeer.metrics.names import METRICS, Metric
    from rtcpeer.metrics.prometheus import PrometheusCollector
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.metrics.collection": (
                "Metrics",
                "Sink",
            ),
            "rtcpeer.metrics.names": (
                "METRICS",
                "Metric",
            ),
            "rtcpeer.metrics.prometheus": ("PrometheusCollector",),
        },
    )
