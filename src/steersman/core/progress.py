"""Progress that nobody watches, for what runs without a terminal."""


class Silent:
    """Takes what `core.ports.Progress` is told, and shows nothing."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Say nothing."""

    def step(self, text: str, amount: int = 1) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
