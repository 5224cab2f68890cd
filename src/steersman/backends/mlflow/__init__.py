"""Policy versions and training runs in MLflow (extra `mlflow`): the same ones, where a team looks for its models."""

from steersman.backends.mlflow.registry import MlflowRegistry
from steersman.backends.mlflow.tracker import MlflowTracker

__all__ = ["MlflowRegistry", "MlflowTracker"]
