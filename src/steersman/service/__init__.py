"""The service: HTTP API, dashboard, learner and monitors in one process, or spread over several."""
