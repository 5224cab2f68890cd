"""The composition root: the one room that picks backends and packs by name and puts an agent together."""

from steersman.app.steersman import Steersman
from steersman.app.stores import open_log

__all__ = ["Steersman", "open_log"]
