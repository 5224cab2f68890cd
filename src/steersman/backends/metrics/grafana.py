"""Dashboards as Grafana reads them: the nouns, and how they become its JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Shape = Literal["timeseries", "stat", "table", "heatmap"]
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH = 24
_HEIGHT = 8


@dataclass(frozen=True, kw_only=True)
class Query:
    """An expression, and what its series are called."""

    expression: str
    legend: str = "{{agent}}"
    heatmap: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: its question, what it shows, and what to think of it. width: of 24 columns."""

    title: str
    about: str
    queries: tuple[Query, ...] = ()
    shape: Shape = "timeseries"
    unit: str = "short"
    width: int = 12
    limits: tuple[tuple[float | None, str], ...] = ()
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Panels for one kind of reader. span: what it shows at first, up to now."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    span: str = "6h"


def rendered(dashboards: Sequence[Dashboard]) -> dict[str, bytes]:
    """Return a document for each, by file name, with links to the others."""
    return {
        f"steersman-{each.name}.json": msgspec.json.format(
            msgspec.json.encode(_plain(each, [other for other in dashboards if other is not each])), indent=2
        )
        + b"\n"
        for each in dashboards
    }


def _plain(dashboard: Dashboard, others: list[Dashboard]) -> dict[str, Any]:
    return {
        "uid": f"steersman-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["steersman"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": f"now-{dashboard.span}", "to": "now"},
        "timezone": "utc",
        "links": [{"type": "link", "title": each.title, "url": f"/d/steersman-{each.name}"} for each in others],
        "templating": {"list": _variables()},
        "panels": _placed(dashboard.panels),
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    metric = "steersman_decisions_total"
    chosen = [("tenant", ""), ("agent", '{tenant=~"$tenant"}'), ("stage", '{tenant=~"$tenant", agent=~"$agent"}')]
    return [
        source,
        *(
            {
                "name": name,
                "label": name.capitalize(),
                "type": "query",
                "datasource": _SOURCE,
                "query": {"query": f"label_values({metric}{where}, {name})", "refId": name},
                "refresh": 2,
                "includeAll": True,
                "multi": True,
                "current": {"text": "All", "value": "$__all"},
            }
            for name, where in chosen
        ),
    ]


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Return the panels, set in lines from left to right."""
    placed, x, y = [], 0, 0
    for number, each in enumerate(panels, 1):
        if x + each.width > _WIDTH:
            x, y = 0, y + _HEIGHT
        placed.append({"id": number, **_panel(each), "gridPos": {"h": _HEIGHT, "w": each.width, "x": x, "y": y}})
        x += each.width
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.limits] or [{"value": None, "color": "blue"}]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    defaults |= {name: each for name, each in (("min", panel.lowest), ("max", panel.highest)) if each is not None}
    if panel.shape == "timeseries" and panel.limits:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "type": panel.shape,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "targets": [_target(each, letter, panel) for each, letter in zip(panel.queries, "ABCDEF", strict=False)],
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.shape == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name", "colorMode": "background"}
    if panel.shape == "heatmap":
        return {"calculate": False, "yAxis": {"unit": panel.unit}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}} if panel.shape == "timeseries" else {}


def _target(query: Query, letter: str, panel: Panel) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "format": "heatmap" if query.heatmap else "table" if panel.shape == "table" else "time_series",
        "instant": panel.shape == "table",
    }
