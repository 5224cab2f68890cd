"""A client of the service over HTTP: `Client` waits for answers, `AsyncClient` awaits them. Extra `client`.

Decisions fall back to a rule of the caller's own when the service does not answer in time; outcomes that cannot be delivered
wait here and are sent later.
"""

from steersman.client.asynchronous import AsyncClient, Fallback
from steersman.client.blocking import Client
from steersman.client.messages import Ask, Decided, Reported, Said

__all__ = ["Ask", "AsyncClient", "Client", "Decided", "Fallback", "Reported", "Said"]
