"""What the commands of `steersman trade` ask for alike: prices, and the terms on which they are traded."""

from pathlib import Path
from typing import Annotated

import typer

DataArgument = Annotated[
    list[Path],
    typer.Argument(help="CSV (also .gz) or Parquet with date, open, high, low, close; of one symbol or many."),
]
CommissionOption = Annotated[float, typer.Option(help="Basis points of what is traded.")]
SpreadOption = Annotated[float, typer.Option(help="Basis points between bid and ask; half of it is paid a side.")]
SlippageOption = Annotated[float, typer.Option(help="Basis points by which a price slips away, a side.")]
BorrowOption = Annotated[float, typer.Option(help="Interest in % a year, on what is borrowed or sold short.")]
AccountOption = Annotated[str, typer.Option(help="aggressive-small, normal or defensive: how much may be risked.")]
HoldOption = Annotated[int, typer.Option(help="Bars after which a position is closed.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
