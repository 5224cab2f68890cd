"""`pytest --steersman`: the door. Until it is asked for, nothing else of ours is imported, and numpy neither."""

import argparse

import pytest

_TROUBLE = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each of them alone switches the plugin on."""
    group = parser.getgroup("steersman", "learned order of tests (steersman)")
    group.addoption(
        "--steersman",
        action="store_true",
        default=False,
        help="run the tests in a learned order, those first that are likely to fail, and learn from this run",
    )
    group.addoption(
        "--steersman-store",
        metavar="STORE",
        default=None,
        help="where runs are kept: a folder, sqlite:///FILE or postgresql://… "
        "(default: STEERSMAN_PYTEST_STORE, the ini option steersman_store, then .steersman/pytest)",
    )
    group.addoption(
        "--steersman-changed",
        metavar="REV",
        nargs="?",
        const="HEAD",
        default=None,
        help="only tests that a change since REV calls for (default: HEAD, so what is not committed), "
        "and those that are new or failed lately. Write --steersman-changed=REV before paths",
    )
    group.addoption(
        "--steersman-budget",
        metavar="SHARE",
        type=_share,
        default=None,
        help="only as many tests, the likeliest to fail first, as fit into this share of the expected time: 0.4",
    )
    group.addoption(
        "--steersman-keep",
        metavar="RUNS",
        type=_count,
        default=None,
        help="how many runs are kept (default: the ini option steersman_keep, then 200)",
    )
    parser.addini("steersman", "as --steersman", type="bool", default=False)
    parser.addini("steersman_store", "as --steersman-store", default="")
    parser.addini("steersman_keep", "as --steersman-keep", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Let the guest in where it is asked for. A worker of xdist has none: its controller orders and records."""
    if hasattr(config, "workerinput") or not _asked(config):
        return
    try:
        from steersman.plugins.pytest_guest import invite

        invite(config)
    except Exception as error:  # noqa: BLE001 - whatever is broken of ours, the tests of others run as ever
        config.stash[_TROUBLE] = f"warning: not used, for it cannot be loaded: {type(error).__name__}: {error}"


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
    """Say so where the guest could not come in."""
    if _TROUBLE in config.stash:
        terminalreporter.section("steersman")
        terminalreporter.line(config.stash[_TROUBLE])


def _asked(config: pytest.Config) -> bool:
    option = config.option
    values = (option.steersman_store, option.steersman_changed, option.steersman_budget, option.steersman_keep)
    return option.steersman or config.getini("steersman") or any(each is not None for each in values)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"must be a share above 0 and up to 1, such as 0.4, got {text!r}")
    return share


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of runs from 1 on, got {text!r}")
    return int(text)
