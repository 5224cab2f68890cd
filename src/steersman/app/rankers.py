"""The rankers on a store: put together when first asked for, from the same settings, clock and seed as its agents."""

import threading
from weakref import WeakKeyDictionary

from steersman.app.steersman import Steersman
from steersman.loops.rank import Ranker

DEFAULT_RANKER = "personalizer/default"

_rankers: "WeakKeyDictionary[Steersman, dict[str, Ranker]]" = WeakKeyDictionary()
_lock = threading.Lock()


def known_ranker(steersman: Steersman, name: str = DEFAULT_RANKER) -> Ranker | None:
    """Return a ranker that was put together already."""
    return _rankers.get(steersman, {}).get(name)


def ranker(steersman: Steersman, name: str = DEFAULT_RANKER) -> Ranker:
    """Return a ranker on a store. The first time it learns what the log holds since it was last stored."""
    with _lock:
        known = _rankers.setdefault(steersman, {})
        if name not in known:
            settings = steersman.settings_file.settings(name, {}, steersman._overrides)
            known[name] = Ranker(name, settings, steersman._world, learns=steersman._learns)
        return known[name]
