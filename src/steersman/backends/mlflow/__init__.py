"""Policy versions in MLflow's model registry (extra `mlflow`): the same versions, where a team looks for its models."""

from steersman.backends.mlflow.registry import MlflowRegistry

__all__ = ["MlflowRegistry"]
