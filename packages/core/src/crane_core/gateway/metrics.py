"""The gateway's counts in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crane_core.gateway.status import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(status: Status) -> bytes:
    """Return the counts; they are counted in plain numbers and dressed here, when somebody asks."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    requests = CounterMetricFamily(
        "crane_requests", "Answered requests", labels=("kind", "source", "outcome")
    )
    for labels, count in status.monitor.requests.items():
        requests.add_metric(labels, count)
    sent = CounterMetricFamily("crane_sent_bytes", "Bytes sent", labels=("kind", "source"))
    for names, size in status.monitor.bytes.items():
        sent.add_metric(names, size)
    again = CounterMetricFamily("crane_given_again", "Answers given again as they were")
    again.add_metric((), status.given_again())
    ahead = CounterMetricFamily("crane_ahead_pages", "Pages fetched ahead", labels=("end",))
    for end, count in (("used", status.ahead.used), ("wasted", status.ahead.wasted)):
        ahead.add_metric((end,), count)
    valid = GaugeMetricFamily("crane_login_valid", "Whether a token is at hand", labels=("index",))
    for index in status.indexes:
        valid.add_metric((index.name,), float(status.logins.is_valid(index)))
    families = (requests, sent, again, ahead, valid)

    class Collector:
        def collect(self) -> tuple[CounterMetricFamily | GaugeMetricFamily, ...]:
            return families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
