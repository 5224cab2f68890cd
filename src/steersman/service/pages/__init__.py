"""The dashboard: pages that show what agents learn and do, and let those who may steer them.

Each page is a file here with a function that reads values and fills a template of the same name. What a page shows comes
from the ledger, from agents at work and from single rows of the log; no page scans the log.
"""

from steersman.service.operations import Operation
from steersman.service.pages import (
    agent,
    assets,
    audit,
    debug,
    decision,
    keys,
    login,
    on_call,
    overview,
    positions,
    release,
    releases,
    training,
)
from steersman.service.pages.shell import problem_page

OPERATIONS: tuple[Operation, ...] = (
    overview.PAGE,
    agent.PAGE,
    decision.PAGE,
    releases.PAGE,
    release.PAGE,
    training.PAGE,
    training.PICTURE,
    positions.PAGE,
    on_call.PAGE,
    debug.PAGE,
    audit.PAGE,
    keys.PAGE,
    login.PAGE,
    assets.FILES,
)

__all__ = ["OPERATIONS", "problem_page"]
