"""Worlds by name, as Gymnasium environments: made when somebody asks for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steersman.core.catalog import Catalog, load
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.world import World
from steersman.policies.encoding import Encoder, feature_names

if TYPE_CHECKING:
    from steersman.backends.gymnasium import WorldEnv

LAB = {
    f"lab/{name}": f"steersman.testing.lab:{name.replace('-', '_')}"
    for name in ("cliff", "lake", "warehouse", "bandit", "crowded-bandit", "additive-bandit")
}
"""Worlds whose best policy is known."""


def world_targets() -> dict[str, str]:
    """Return where each world is made, as "module:attribute", by its name."""
    return LAB | {name: target for pack in Catalog().packs.values() for name, target in pack.worlds.items()}


def world_id(name: str) -> str:
    """Return under which id a world is registered: "trading/meta-strategy" is "steersman/trading-meta-strategy-v1"."""
    return f"steersman/{name.replace('/', '-')}-v1"


def register_worlds(own: Mapping[str, str] | None = None) -> list[str]:
    """Make all worlds known to `gymnasium.make`, and return their ids, sorted. Doing it again changes nothing.

    own: worlds of the caller's, as "module:attribute" by name: a class, or a function that returns a `World`. A process that
    gymnasium starts (`AsyncVectorEnv`) has to register them itself. Raises NotFound without the extra `gymnasium`.
    """
    gymnasium = library()
    ids = []
    for name, target in sorted((world_targets() | dict(own or {})).items()):
        ids.append(world_id(name))
        if ids[-1] not in gymnasium.registry:
            gymnasium.register(ids[-1], entry_point="steersman.app.worlds:environment", kwargs={"target": target})
    return ids


def environment(target: str, *, flat: bool = True, **options: Any) -> "WorldEnv":
    """Return the world at "module:attribute" as an environment; options go to whatever makes the world.

    Raises NotFound where there is nothing, and InvalidInput for what is no world.
    """
    library()
    from steersman.backends.gymnasium import WorldEnv

    world = load(target)(**options)
    if not isinstance(world, World):
        raise InvalidInput(f"{target} made {type(world).__name__}, and not a steersman.core.world.World.")
    schema = world.spec.state
    return WorldEnv(world, Encoder(schema).vector, len(feature_names(schema)), flat=flat)


def library() -> Any:
    """Return gymnasium. Raises NotFound where it is not installed."""
    try:
        import gymnasium
    except ImportError as error:
        raise NotFound("environments need an extra: pip install 'steersman[gymnasium]'.") from error
    return gymnasium
