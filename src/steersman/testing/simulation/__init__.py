"""Simulation: clock, ids, network and store in one loop under one seed, around the real loops."""

from steersman.testing.simulation.bugs import BUGS
from steersman.testing.simulation.parts import Parts
from steersman.testing.simulation.store import FaultyLog, SimulatedLog
from steersman.testing.simulation.world import Run, first_caught, simulate

__all__ = ["BUGS", "FaultyLog", "Parts", "Run", "SimulatedLog", "first_caught", "simulate"]
