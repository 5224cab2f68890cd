"""Doors for clients of the retired Azure Personalizer: the same paths, bodies and errors."""

from steersman.service.personalizer.operations import OPERATIONS

__all__ = ["OPERATIONS"]
