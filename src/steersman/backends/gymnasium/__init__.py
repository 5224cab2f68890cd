"""Worlds as Gymnasium environments (extra `gymnasium`)."""

from steersman.backends.gymnasium.environment import WorldEnv

__all__ = ["WorldEnv"]
