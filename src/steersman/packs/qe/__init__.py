"""The qe pack: agents that decide how a real Python project is tested."""

from steersman.core.catalog import Pack

pack = Pack(
    name="qe",
    description="Decides how a Python project's tests are run, on a sandbox copy, and learns from what was found.",
    agents={
        "qe/test-executor": "steersman.packs.qe.agents.test_executor:agent",
        "qe/fleet-commander": "steersman.packs.qe.agents.fleet_commander:agent",
        "qe/security-scanner": "steersman.packs.qe.agents.security_scanner:agent",
    },
    commands={
        "run": "steersman.packs.qe.run:run",
        "fleet": "steersman.packs.qe.fleet.run:fleet",
        "work": "steersman.packs.qe.fleet.work:work",
        "demo": "steersman.packs.qe.demo:demo",
        "ci-order": "steersman.packs.qe.ordering.replay:ci_order",
    },
)
