"""Training: the section of the settings that says when and how, and where its checkpoints are kept."""

from dataclasses import dataclass
from typing import Literal, Protocol

from steersman.core.setting import setting as _setting

Slot = Literal["running", "finished"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """When and how a network is trained from the log, beside the table."""

    enabled: bool = _setting(
        False, "Train a network where it is due, in the process that learns. `steersman train` does at once."
    )
    min_outcomes: int = _setting(1_000, "New outcomes after which training is due.", unit="outcomes", low=1)
    min_hours: float = _setting(24.0, "Time since the last training after which it is due.", unit="h", low=0)
    when: str = _setting("both", "Whether it takes both, new outcomes and that time, or either.", options=("both", "either"))
    check_s: float = _setting(3_600.0, "Time between two looks at whether it is due.", unit="s", low=1)
    rows: int = _setting(100_000, "Newest outcomes that training looks at.", unit="outcomes", low=100, high=10_000_000)
    updates: int = _setting(
        2_000, "Updates of one training at most; made in steps of 50.", unit="updates", low=1, high=10_000_000
    )
    patience: int = _setting(
        10, "Steps of 50 updates in a row that do better only on what is learned from, after which it stops.", low=1
    )
    holdout: float = _setting(
        0.1,
        "Share of the outcomes learned from that is held out to tell when to stop, and how sure values are.",
        low=0.01,
        high=0.5,
    )
    encoder: str = _setting(
        "mlp", "What reads the features: nothing before the layers, or attention between them.", options=("mlp", "attention")
    )
    hidden: str = _setting("512, 256", "Widths of the hidden layers, separated by commas.")
    stream: int = _setting(
        128, "Width of the value and the advantage stream of a dueling head; 0 takes one linear head.", low=0, high=65_536
    )
    batch: int = _setting(256, "Outcomes of one update.", unit="outcomes", low=1, high=65_536)
    learning_rate: float = _setting(3e-4, "Learning rate of a network's first training.", low=1e-9, high=10)
    later_rate: float = _setting(1e-4, "Learning rate of each later training.", low=1e-9, high=10)
    n_step: int = _setting(
        1, "Rewards of an episode that are summed up before what follows is estimated.", unit="steps", low=1, high=1_000
    )
    tau: float = _setting(
        0.02, "How far the target network moves after each update; a slow one needs many updates.", low=0, high=1
    )
    conservative: float = _setting(
        0.0, "Weight of keeping values of actions low that the log does not show (CQL); 0 is off.", low=0, high=1_000
    )
    ewc: float = _setting(
        1_000.0, "Weight of staying near what earlier trainings learned (EWC); 0 forgets freely.", low=0, high=1e9
    )
    kin_outcomes: float = _setting(
        50.0, "How many outcomes what kin say counts for at most, where a training hears them.", unit="outcomes", low=0
    )
    tracker: str = _setting(
        "file",
        "Where trainings are told: nowhere, in files beside the store, for the pages, or also in MLflow or TensorBoard.",
        options=("none", "file", "mlflow", "tensorboard"),
    )
    tracker_url: str = _setting("", "Address of MLflow, or TensorBoard's folder.")
    checkpoint_s: float = _setting(60.0, "Time between two checkpoints of a training under way.", unit="s", low=0)


class Checkpoints(Protocol):
    """Where trainings are kept that may be gone on from: for each agent one under way, and the last one that ended."""

    def keep(self, agent: str, slot: Slot, content: bytes) -> None:
        """Keep a checkpoint in the place of the last one of its slot, whole or not at all. Raises StoreError."""

    def last(self, agent: str, slot: Slot) -> tuple[str, bytes] | None:
        """Return the name, which the hash of the content has to be, and the content; None if there is none."""

    def drop(self, agent: str, slot: Slot) -> None:
        """Let what is in a slot go."""
