"""The models that forecast: which of them can run here."""

import os
from functools import cache
from importlib.util import find_spec

from steersman.core.errors import InvalidInput, nearest

MODELS = ("xgb", "lgbm", "nhits", "patchtst")
CHOSEN = "STEERSMAN_MODELS"
"""The environment variable that names the models to run: the same for whoever forecasts and whoever decides."""
_DEFAULT = "xgb,lgbm"  # networks train for seconds where trees take a fraction of one
_LIBRARIES = {
    "xgb": ("xgboost", "trading"),
    "lgbm": ("lightgbm", "trading"),
    "nhits": ("optax", "deep"),
    "patchtst": ("optax", "deep"),
}


@cache
def missing(model: str) -> str:
    """Return why a model cannot run here; "" where it can. Looked up once: what is installed later needs a restart."""
    library, extra = _LIBRARIES[model]
    if model not in chosen():
        return f"{model} is not among {CHOSEN}, which names {', '.join(chosen())}"
    return "" if find_spec(library) else f"{model} needs {library}: install steersman[{extra}]"


def chosen() -> tuple[str, ...]:
    """Return the models that are to run. Raises InvalidInput for one that there is not."""
    names = tuple(each.strip() for each in (os.environ.get(CHOSEN) or _DEFAULT).split(",") if each.strip())
    for each in names:
        if each not in MODELS:
            raise InvalidInput(f"{CHOSEN} names {each!r}, which is no model.{nearest(each, MODELS)}")
    return names
