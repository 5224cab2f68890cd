"""The models that forecast: which of them can run here."""

from functools import cache
from importlib.util import find_spec

MODELS = ("xgb", "lgbm", "nhits", "patchtst")
_LIBRARIES = {"xgb": "xgboost", "lgbm": "lightgbm"}


@cache
def missing(model: str) -> str:
    """Return why a model cannot run here; "" where it can. Looked up once: what is installed later needs a restart."""
    library = _LIBRARIES.get(model)
    if library is None:
        return f"{model} comes with the deep extra"
    return "" if find_spec(library) else f"{model} needs {library}: install steersman[trading]"
