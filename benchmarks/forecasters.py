"""Are the forecasters what their papers say, on a public series? Requests an hour of NASA's web server, 1995.

    python benchmarks/forecasters.py REQUESTS.tbz2 [--seeds 5] [--updates 600]

Trained on the first 60 % of the hours, judged on the last 30 %: mean squared error of the next 24 hours in units of the
variance of the series, over all windows, as mean and 95 % interval over seeds. Beside them: the last value, the value a day
and a week before, and one linear map from the window (least squares, with a ridge): Zeng et al. (2023) showed that many
transformers lose to it. The papers' own ideas are taken away one at a time: N-HiTS without pooling and interpolation,
PatchTST with a token for each hour.
"""

import argparse
import tarfile
import time
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from steersman.maths.statistics import t_quantile
from steersman.packs.trading.forecast.fit import Forecaster, Training, fit
from steersman.packs.trading.forecast.nhits import NHits
from steersman.packs.trading.forecast.patchtst import PatchTST

Floats = NDArray[np.float64]
STEPS, HORIZON, DAY, WEEK = 168, 24, 24, 168
HOUR_S = 3_600
NETS: dict[str, Forecaster] = {
    "N-HiTS": NHits(steps=STEPS, horizon=HORIZON, pools=(12, 4, 1), every=(12, 4, 1), hidden=(128, 128)),
    "  without pooling and interpolation": NHits(
        steps=STEPS, horizon=HORIZON, pools=(1, 1, 1), every=(1, 1, 1), hidden=(128, 128)
    ),
    "PatchTST": PatchTST(steps=STEPS, horizon=HORIZON, patch=16, stride=8),
    "  with a token for each hour": PatchTST(steps=STEPS, horizon=HORIZON, patch=1, stride=1),
}


def hourly(path: Path) -> Floats:
    """Return the requests of each hour, as log(1 + n); the archive holds the count of each second."""
    with tarfile.open(path) as archive:
        member = next(each for each in archive.getmembers() if each.isfile())
        held = archive.extractfile(member)
        assert held is not None
        counts = np.array(held.read().split(), dtype=np.float64)
    whole = len(counts) // HOUR_S * HOUR_S
    return np.asarray(np.log1p(counts[:whole].reshape(-1, HOUR_S).sum(axis=1)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=600)
    asked = parser.parse_args()
    series = hourly(asked.requests)
    rows = sliding_window_view(series, STEPS + HORIZON)
    train, test = rows[: int(0.6 * len(series)) - HORIZON], rows[int(0.7 * len(series)) :]
    past, later, variance = test[:, :STEPS], test[:, STEPS:], float(series.var())
    print(f"{len(series)} hours, {len(train)} windows to train on, {len(test)} to judge by")

    def say(name: str, errors: list[float], seconds: float) -> None:
        half = t_quantile(0.975, len(errors) - 1) * np.std(errors, ddof=1) / len(errors) ** 0.5 if len(errors) > 1 else 0.0
        print(f"{name:38} {np.mean(errors):.3f} ± {half:.3f}   {seconds:5.1f} s to train")

    for name, said in {
        "last value": past[:, -1:].repeat(HORIZON, axis=1),
        "a day before": past[:, -DAY:],
        "a week before": past[:, STEPS - WEEK : STEPS - WEEK + HORIZON],
        "linear": past @ _linear(train) + _offset(train),
    }.items():
        say(name, [float(((said - later) ** 2).mean()) / variance], 0.0)
    for name, net in NETS.items():
        errors, began = [], time.process_time()
        for seed in range(asked.seeds):
            model = fit(net, train[:, :STEPS], train[:, STEPS:], Training(updates=asked.updates, batch=64, seed=seed))
            errors.append(float(((model(past) - later) ** 2).mean()) / variance)
        say(name, errors, (time.process_time() - began) / asked.seeds)


def _linear(train: Floats, ridge: float = 10.0) -> Floats:
    centred = train - train.mean(axis=0)
    x, y = centred[:, :STEPS], centred[:, STEPS:]
    return np.asarray(np.linalg.solve(x.T @ x + ridge * np.eye(STEPS), x.T @ y))


def _offset(train: Floats) -> Floats:
    mean = train.mean(axis=0)
    return np.asarray(mean[STEPS:] - mean[:STEPS] @ _linear(train))


if __name__ == "__main__":
    main()
