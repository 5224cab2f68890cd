"""Training runs as event files that TensorBoard reads (extra `tensorboard`)."""

from steersman.backends.tensorboard.tracker import TensorboardTracker

__all__ = ["TensorboardTracker"]
