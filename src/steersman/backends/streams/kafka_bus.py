"""`KafkaBus`: the bus on Kafka, by confluent-kafka: an idempotent producer, and offsets committed by hand.

A partition is read by one consumer of a group at a time, and a key always falls to the same one. Kafka keeps one offset for
each partition and not what was acknowledged behind it: after a consumer's death, entries that it had acknowledged behind one
that it had not come again.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Delivery
from steersman.core.streams import check_entries, check_stream, dead_letters

Headers = list[tuple[str, str | bytes | None]]
PUBLISH_S = 5.0
_ANSWER_S = 5.0
_LOOK_S = 0.5
_QUIET = {"log_level": 2}
_LEAST_SESSION_S = 6.0  # brokers refuse less, in their usual settings
_CHANGING_HANDS = (
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._NO_OFFSET,
)


@dataclass(kw_only=True, slots=True)
class _Given:
    """An entry that was given and not acknowledged: since when (monotonic seconds)."""

    delivery: Delivery
    at: float


@dataclass(kw_only=True)
class _Partition:
    """What this consumer has of a partition. next: the offset behind the last entry that it was given."""

    next: int
    given: dict[int, _Given] = field(default_factory=dict)

    @property
    def committed(self) -> int:
        """Up to where everything is acknowledged."""
        return min(self.given, default=self.next)


class KafkaBus:
    """The `Bus` port on Kafka: one consumer of a group. Raises InvalidInput for a URL or a setting that is none.

    url: kafka://HOST:PORT,HOST:PORT?NAME=VALUE, with any settings of librdkafka by their own names. streams: topics to take
    from. idle_s: after how long without an acknowledgement an entry comes again, and a silent consumer is dead (at least 6
    s). Nothing is asked before the first use.
    """

    def __init__(
        self,
        url: str,
        streams: Sequence[str] = (),
        *,
        group: str = "steersman",
        consumer: str = "steersman",
        idle_s: float = 30.0,
    ) -> None:
        self._settings = _settings(url)
        self.shown = f"kafka://{self._settings['bootstrap.servers']}"
        self._streams = [check_stream(each) for each in streams]
        self._idle_s = idle_s
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._moved: set[tuple[str, int]] = set()
        self._trouble = ""
        self._joined = False
        self._producer: Producer | None = None
        self._consumer = self._made(
            Consumer,
            {
                "group.id": check_stream(group),
                "client.id": consumer or "steersman",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": int(max(idle_s, _LEAST_SESSION_S) * 1_000),
                "max.poll.interval.ms": int(max(idle_s, 300.0) * 1_000),
                "allow.auto.create.topics": True,
            },
        )

    def publish(self, stream: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put entries into a stream; all replicas in sync have them once this returns. Raises StoreError, InvalidInput."""
        check_entries(stream, entries)
        self._send(stream, [(key, body, []) for key, body in entries])

    def take(self, limit: int, wait_s: float) -> list[Delivery]:
        """Return up to `limit` entries, new or not acknowledged in time; none while no broker can be reached."""
        until = time.monotonic() + wait_s
        while True:
            left = until - time.monotonic()
            found = self._overdue(limit) or self._poll(limit, max(0.0, min(left, _LOOK_S)))
            if found or time.monotonic() >= until:
                return found

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge entries: commit, for each partition, up to where everything is acknowledged. Raises StoreError.

        While partitions are handed out anew, what cannot be committed now is tried again, and may come again all the same.
        """
        for each in deliveries:
            place, offset = _place(each)
            if place in self._partitions and self._partitions[place].given.pop(offset, None) is not None:
                self._moved.add(place)
        with self._answers():
            self._commit(self._moved)

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Put an entry into the dead letters, then acknowledge it. Raises StoreError."""
        headers: Headers = [("reason", reason.encode(errors="replace")), ("position", delivery.position.encode())]
        self._send(dead_letters(delivery.stream), [(delivery.key, delivery.body, headers)])
        self.done([delivery])

    def waiting(self) -> int:
        """Return how many entries lie behind what the group has committed. Raises StoreError."""
        with self._answers():
            return sum(self._behind(each) for each in self._streams)

    def health(self) -> str:
        """Return "" while a broker can be reached, as far as is known, else what keeps them from being."""
        return self._trouble

    def close(self) -> None:
        """Leave the group; what was not acknowledged goes to others."""
        with suppress(KafkaException, RuntimeError):  # closed before
            self._commit(self._moved)
            self._consumer.close()
        self._drop_producer()

    # publishing

    def _send(self, stream: str, entries: Sequence[tuple[str, bytes, Headers]]) -> None:
        """Produce entries and wait for all of them. After a failure the producer is a new one, with nothing left in it."""
        failed: list[str] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error.str())

        producer = self._producer = self._producer or self._made(Producer, _PRODUCER)
        try:
            for key, body, headers in entries:
                self._produce(producer, stream, key, body, headers, delivered)
            left = producer.flush(PUBLISH_S + 1.0)
        except (KafkaException, BufferError) as error:
            failed.append(str(error))
            left = len(producer)
        if failed or left:
            self._drop_producer()
            self._trouble = failed[0] if failed else "no broker answers"
            raise StoreError(f"the bus at {self.shown} did not take all: {self._trouble}. Publish again later.")
        self._trouble = ""

    @staticmethod
    def _produce(producer: Producer, stream: str, key: str, body: bytes, headers: Headers, delivered: Any) -> None:
        """Hand an entry to the producer; where its queue is full, once it has sent some."""
        until = time.monotonic() + PUBLISH_S
        while True:
            try:
                producer.produce(stream, body, key.encode() or None, on_delivery=delivered, headers=headers)
            except BufferError:
                if time.monotonic() > until:
                    raise
                producer.poll(0.1)
            else:
                return

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1.0)
            self._producer = None

    # taking

    def _poll(self, limit: int, wait_s: float) -> list[Delivery]:
        """Return what the brokers have, waiting for the first of it alone."""
        if not (self._streams and self._reached()):
            time.sleep(wait_s)
            return []
        with self._answers():
            self._commit(self._moved)
            first = self._consumer.poll(wait_s)
            messages = [] if first is None else [first, *(self._consumer.consume(limit - 1, 0.0) if limit > 1 else [])]
        return [delivery for each in messages if (delivery := self._given(each)) is not None]

    def _reached(self) -> bool:
        """Return whether a broker answers: asked at first, when topics are made, and while there is trouble."""
        if self._joined and not self._trouble:
            return True
        try:
            for each in self._streams:  # which makes it, where the brokers make topics by themselves
                self._consumer.list_topics(each, timeout=_LOOK_S)
        except KafkaException as error:
            self._trouble = str(error)
            return False
        if not self._joined:
            self._consumer.subscribe(self._streams, on_revoke=self._revoked, on_lost=self._revoked)
        self._joined, self._trouble = True, ""
        return True

    def _given(self, message: Message) -> Delivery | None:
        """Return what a message of a topic holds, and note that it was given; None for word of something else."""
        if error := message.error():
            self._heard(error)
            return None
        stream, number, offset = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
        partition = self._partitions.setdefault((stream, number), _Partition(next=offset))
        partition.next = offset + 1
        headers = dict(message.headers() or ())
        delivery = Delivery(
            stream=stream,
            position=f"{number}/{offset}",
            body=bytes(message.value() or b""),
            key=_text(message.key()),
            reason=_text(headers.get("reason")),
        )
        partition.given[offset] = _Given(delivery=delivery, at=time.monotonic())
        self._trouble = ""
        return delivery

    def _overdue(self, limit: int) -> list[Delivery]:
        """Return entries that were not acknowledged in time, once more."""
        now = time.monotonic()
        found: list[Delivery] = []
        for partition in self._partitions.values():
            for offset, each in sorted(partition.given.items()):
                if len(found) < limit and now - each.at >= self._idle_s:
                    again = _again(each.delivery)
                    partition.given[offset] = _Given(delivery=again, at=now)
                    found.append(again)
        return found

    def _commit(self, places: set[tuple[str, int]]) -> None:
        """Commit what moved of some partitions. Raises KafkaException, but not for what is due to a change of hands."""
        moved = sorted(places & self._moved)
        if not moved:
            return
        offsets = [TopicPartition(*place, self._partitions[place].committed) for place in moved]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _CHANGING_HANDS:
                raise
        else:
            self._moved -= set(moved)

    def _revoked(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Commit what can still be, and forget partitions that may be another consumer's now."""
        places = {(each.topic, each.partition) for each in partitions}
        with suppress(KafkaException):
            self._commit(places)
        self._moved -= places
        for place in places:
            self._partitions.pop(place, None)

    # what the brokers say

    def _behind(self, stream: str) -> int:
        known = self._consumer.list_topics(stream, timeout=_ANSWER_S).topics[stream].partitions
        places = [TopicPartition(stream, number) for number in known]
        behind = 0
        for each in self._consumer.committed(places, timeout=_ANSWER_S):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(stream, each.partition), timeout=_ANSWER_S)
            behind += high - max(each.offset, low)
        return behind

    def _heard(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            self._trouble = error.str()

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Raises StoreError for what goes wrong."""
        try:
            yield
        except (KafkaException, RuntimeError) as error:
            self._trouble = str(error)
            raise StoreError(f"the bus at {self.shown} does not answer: {error}. Try again later.") from error

    def _made(self, kind: Any, settings: dict[str, Any]) -> Any:
        try:
            return kind({**_QUIET, "error_cb": self._heard, **settings, **self._settings})
        except (KafkaException, TypeError, ValueError) as error:
            raise InvalidInput(f"{self.shown}: {error}. Settings in the URL are those of librdkafka.") from error


_PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "delivery.timeout.ms": int(PUBLISH_S * 1_000),
    "linger.ms": 0,
    "partitioner": "murmur2_random",
}


def _settings(url: str) -> dict[str, str]:
    """Return librdkafka's settings of a URL: its brokers, and what stands behind the question mark."""
    where = urlsplit(url)
    if where.scheme != "kafka" or not where.netloc or where.path.strip("/") or "@" in where.netloc:
        raise InvalidInput(
            "this is no URL of Kafka. Use kafka://HOST:PORT,HOST:PORT?NAME=VALUE; a login is sasl.username=…."
        )
    return {"bootstrap.servers": where.netloc, **dict(parse_qsl(where.query, keep_blank_values=True))}


def _place(delivery: Delivery) -> tuple[tuple[str, int], int]:
    """Return topic, partition and offset. Raises InvalidInput for a position of another bus."""
    number, found, offset = delivery.position.partition("/")
    if not (found and offset.isdigit()):
        raise InvalidInput(f"{delivery.position!r} is no position in a Kafka topic.")
    return (delivery.stream, int(number)), int(offset)


def _again(delivery: Delivery) -> Delivery:
    return replace(delivery, attempt=delivery.attempt + 1)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
