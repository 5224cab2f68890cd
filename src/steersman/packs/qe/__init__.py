"""The qe pack: agents that decide how a real Python project is tested."""

from steersman.core.catalog import Pack

pack = Pack(
    name="qe",
    description="A fleet of agents that work on a copy of a Python project with real tools, and learn what works there.",
    agents={
        "qe/test-generator": "steersman.packs.qe.agents.test_generator:agent",
        "qe/test-executor": "steersman.packs.qe.agents.test_executor:agent",
        "qe/coverage-analyzer": "steersman.packs.qe.agents.coverage_analyzer:agent",
        "qe/quality-gate": "steersman.packs.qe.agents.quality_gate:agent",
        "qe/quality-analyzer": "steersman.packs.qe.agents.quality_analyzer:agent",
        "qe/code-complexity": "steersman.packs.qe.agents.code_complexity:agent",
        "qe/performance-tester": "steersman.packs.qe.agents.performance_tester:agent",
        "qe/security-scanner": "steersman.packs.qe.agents.security_scanner:agent",
        "qe/regression-risk-analyzer": "steersman.packs.qe.agents.regression_risk_analyzer:agent",
        "qe/test-data-architect": "steersman.packs.qe.agents.test_data_architect:agent",
        "qe/api-contract-validator": "steersman.packs.qe.agents.api_contract_validator:agent",
        "qe/flaky-test-hunter": "steersman.packs.qe.agents.flaky_test_hunter:agent",
        "qe/deployment-readiness": "steersman.packs.qe.agents.deployment_readiness:agent",
        "qe/visual-tester": "steersman.packs.qe.agents.visual_tester:agent",
        "qe/chaos-engineer": "steersman.packs.qe.agents.chaos_engineer:agent",
        "qe/requirements-validator": "steersman.packs.qe.agents.requirements_validator:agent",
        "qe/production-intelligence": "steersman.packs.qe.agents.production_intelligence:agent",
        "qe/fleet-commander": "steersman.packs.qe.agents.fleet_commander:agent",
    },
    commands={
        "run": "steersman.packs.qe.fleet.run:run",
        "work": "steersman.packs.qe.fleet.work:work",
        "demo": "steersman.packs.qe.bench.demo:demo",
        "test-executor": "steersman.packs.qe.bench.duels:run",
        "ci-order": "steersman.packs.qe.bench.ci_order:ci_order",
        "faults": "steersman.packs.qe.bench.faults:faults",
    },
)
