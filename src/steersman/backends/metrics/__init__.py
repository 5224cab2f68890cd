"""Metrics and traces for what watches a service: Prometheus, Grafana, OpenTelemetry (extras `service`, `tracing`)."""
