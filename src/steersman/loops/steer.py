"""Steer: a callable whose keyword arguments an agent chooses, and which runs as it is when the agent cannot."""

import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from steersman.core.errors import InvalidInput, SteersmanError
from steersman.core.ports import AgentHandle
from steersman.core.state import StateValues
from steersman.core.values import Decision

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger("steersman")


@dataclass(frozen=True, kw_only=True)
class Call:
    """What came of a steered call: its result, or the exception that it raised, and its duration in seconds.

    `arguments` are the call's own, by name; `action` are those that the agent may choose, as they were in force.
    """

    result: Any
    error: BaseException | None
    elapsed_s: float
    arguments: Mapping[str, Any]
    action: Mapping[str, Any]


def steered(
    agent: AgentHandle,
    state: Callable[..., StateValues],
    measure: Callable[[Call], Mapping[str, float] | None],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: decide, call with the action as keyword arguments, measure, report.

    Arguments that the caller gives, by name or by place, win over the agent's. The callable's own exceptions pass
    through, after they were measured; failures of deciding, measuring or reporting never reach the caller and are
    logged as warnings.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):
            raise InvalidInput(f"{function.__name__} is a coroutine function; steer the plain function that it awaits.")
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            decision = _try_to_decide(agent, state, args, kwargs)
            if decision is None:
                return function(*args, **kwargs)
            given = signature.bind_partial(*args, **kwargs).arguments
            own = {**given, **kwargs}
            chosen: dict[str, Any] = {name: value for name, value in decision.action.items() if name not in own}
            action = {name: own.get(name, value) for name, value in decision.action.items()}
            started = time.perf_counter()
            try:
                result = function(*args, **kwargs, **chosen)
            except BaseException as error:
                _try_to_report(agent, decision, measure, _call(None, error, started, given, action))
                raise
            _try_to_report(agent, decision, measure, _call(result, None, started, given, action))
            return result

        return wrapper

    return decorate


def _call(
    result: Any, error: BaseException | None, started: float, arguments: Mapping[str, Any], action: Mapping[str, Any]
) -> Call:
    elapsed_s = time.perf_counter() - started
    return Call(result=result, error=error, elapsed_s=elapsed_s, arguments=arguments, action=action)


def _try_to_decide(
    agent: AgentHandle, state: Callable[..., StateValues], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Decision | None:
    try:
        return agent.decide(state(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - steering must never break what it steers
        _logger.warning("not steered, the call runs as it is: %s: %s", type(error).__name__, error)
        return None


def _try_to_report(
    agent: AgentHandle, decision: Decision, measure: Callable[[Call], Mapping[str, float] | None], call: Call
) -> None:
    try:
        measured = measure(call)
        if measured is not None:
            agent.report(decision, measured, executed=dict(call.action))
    except SteersmanError as error:
        _logger.warning("the outcome was not reported: %s", error)
    except Exception as error:  # noqa: BLE001 - a fault in the caller's measure must not break the call either
        _logger.warning("the call was not measured: %s: %s", type(error).__name__, error)
