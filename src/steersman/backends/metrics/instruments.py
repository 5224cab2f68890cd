"""The instruments of prometheus-client behind the table of metrics, and what they show to whoever scrapes them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from steersman.backends.metrics.table import BY_NAME, METRICS, Definition

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


class Buckets(Histogram):
    """A histogram that takes many values at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add to each bucket, the last being that without a bound, and to the sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Instruments:
    """All instruments of one tenant, by name and labels; labels that a metric does not have are passed over.

    Where the environment names a folder for it, they write into that folder, and show what all processes wrote there.
    Tenants have meters of their own, in which others' numbers do not appear.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._registry = CollectorRegistry()
        self._shared = bool(os.environ.get(DIRECTORY))
        self._made = {each.name: self._make(each) for each in METRICS}

    def counter(self, name: str, labels: Mapping[str, str]) -> Counter:
        """Return a counter of the tenant."""
        return cast(Counter, self._child(name, labels))

    def gauge(self, name: str, labels: Mapping[str, str]) -> Gauge:
        """Return a gauge of the tenant."""
        return cast(Gauge, self._child(name, labels))

    def histogram(self, name: str, labels: Mapping[str, str]) -> Buckets:
        """Return a histogram of the tenant."""
        return cast(Buckets, self._child(name, labels))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text of all metrics and its content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._shown()), content_type

    def _make(self, definition: Definition) -> Counter | Gauge | Histogram:
        name, text, labels = definition.name, definition.help, definition.labels
        if definition.kind == "counter":
            return Counter(name, text, labels, registry=self._registry)
        if definition.kind == "histogram":
            return Buckets(name, text, labels, registry=self._registry, buckets=definition.buckets)
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=definition.mode or "all")

    def _child(self, name: str, labels: Mapping[str, str]) -> Counter | Gauge | Histogram:
        given = {"tenant": self._tenant, **labels}
        return self._made[name].labels(*(given[each] for each in BY_NAME[name].labels))

    def _shown(self) -> Collector:
        if not self._shared:
            return _Shown(self._registry, self._tenant)
        return _Shown(MultiProcessCollector(None), self._tenant)  # type: ignore[no-untyped-call]


class _Shown(Collector):
    """What one tenant may see of a collector, without the times at which counters were made."""

    def __init__(self, collector: Collector, tenant: str) -> None:
        self._collector = collector
        self._tenant = tenant

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that has a sample."""
        for metric in sorted(self._collector.collect(), key=lambda each: str(each.name)):
            metric.samples = [
                each
                for each in metric.samples
                if each.labels.get("tenant") == self._tenant and not each.name.endswith("_created")
            ]
            if metric.samples:
                yield metric
