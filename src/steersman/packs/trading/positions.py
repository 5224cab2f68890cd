"""How pages read the pack's positions."""

from steersman.core.positions import Positions

positions = Positions(opens="trading/position-sizing", before=("trading/meta-strategy",), earns="pnl_pct")
