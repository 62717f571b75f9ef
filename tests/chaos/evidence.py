"""What the auditor judges by: every store as it is at the end, and what clients did and were told. Plain data."""

import dataclasses
import json
import re
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

LOG = [
    "shard",
    "seq",
    "epoch",
    "change",
    "performance_id",
    "seat_id",
    "version",
    "state",
    "reservation_id",
    "reservation_state",
    "user_id",
    "amount",
    "payment_state",
    "held_until_ms",
    "at_ms",
    "request_id",
    "leader",
]
GRANTS = ["seq", "epoch", "change", "performance_id", "grant_id", "user_id", "number", "expires_at_ms", "at_ms"]
TABLES = {
    "seats": (
        "performance_seat",
        ["shard", "performance_id", "seat_id", "price", "state", "version", "reservation_id"],
    ),
    "claims": ("seat_claim", ["shard", "performance_id", "seat_id", "claim_id", "reservation_id", "user_id", "state"]),
    "reservations": (
        "seat_reservation",
        ["shard", "reservation_id", "performance_id", "user_id", "state", "decided", "amount", "seats"],
    ),
    "payments": ("payment", ["shard", "reservation_id", "user_id", "amount", "state"]),
    "requests": ("idempotency", ["shard", "user_id", "request_id", "change", "reservation_id"]),
    "owners": ("shard_owner", ["shard", "epoch", "applied_seq", "owner"]),
}
WAITING_ROOM = 65535


@dataclasses.dataclass
class Evidence:
    log: list  # of dict by LOG, by shard and seq
    grants: list  # of dict by GRANTS, by seq
    tables: dict  # name -> list of dict
    events: list  # of (partition, offset, key, event as dict), by partition and offset
    whole_topic: bool  # the topic still has its first event
    ledger: list  # of {id, state, amount}
    redis: dict  # key -> (value, ttl in ms or None)
    active: dict  # user -> expiry: ticket:active
    operations: list  # of the crowd
    v1: list  # of the v1 users
    epochs: list  # of (shard, epoch, owner), as the persister told its log
    conflicts: int
    verify: int  # exit status of ticketctl verify
    limits: dict  # active_max, hold_ttl_ms, payment_window_ms, wall_minus_monotonic_ms, read_at_ms,
    # unanswered, bounds (of gauges), quiet (moments in which nothing is broken: from, to in ns)
    grants_later: list = dataclasses.field(default_factory=list)  # what was added to them while Redis was read
    reads: list = dataclasses.field(default_factory=list)  # of the readers
    samples: list = dataclasses.field(default_factory=list)  # what processes took: see usage.py
    drills: list = dataclasses.field(default_factory=list)  # (kind, name, seconds or None): see recovery.py


def table(cursor, name, columns, order):
    cursor.execute(f"SELECT {', '.join('`' + column + '`' for column in columns)} FROM {name} ORDER BY {order}")
    rows = []
    for values in cursor.fetchall():
        row = dict(zip(columns, values))
        if "request_id" in row:
            row["request_id"] = row["request_id"].hex()
        rows.append(row)
    return rows


def watermarks(consumer, topic, partition, timeout_s=20):
    """Where a partition begins and ends; asked again while it is getting another leader."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > end:
                raise
        time.sleep(0.02)


def read_events(brokers, topic="reservation-events", timeout_s=60):
    """Every message of the topic, and whether its first ones are still there."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"chaos-{time.time_ns()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    try:
        partitions = list(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        ends, whole = {}, True
        for partition in partitions:
            low, high = watermarks(consumer, topic, partition)
            whole = whole and low == 0
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0 if whole else -2) for partition in ends])
        rows, left, end = [], dict(ends), time.monotonic() + timeout_s
        while left and time.monotonic() < end:
            for message in consumer.consume(500, timeout=1):
                if message.error():
                    continue
                rows.append(
                    (message.partition(), message.offset(), message.key().decode(), json.loads(message.value()))
                )
                if message.offset() + 1 >= left.get(message.partition(), 0):
                    left.pop(message.partition(), None)
        if left:
            raise RuntimeError(f"Kafka did not give its messages up to {left}")
        return sorted(rows, key=lambda row: row[:2]), whole
    finally:
        consumer.close()


def read_redis(client):
    keys = {}
    for key in client.scan_iter(match="*", count=1000):
        if not re.fullmatch(r"(state:seat:|ticket:active:users:).*", key):
            continue
        value, ttl = client.get(key), client.pttl(key)
        if value is not None:
            keys[key] = (value, None if ttl < 0 else ttl)
    active = {int(user): int(score) for user, score in client.zrange("ticket:active", 0, -1, withscores=True)}
    return keys, active


def read_epochs(lines):
    """Who was told to own a shard under which epoch."""
    told = []
    for line in lines:
        match = re.search(r"shard (\d+): epoch (\d+) is (\S+)'s;", line)
        if match:
            told.append((int(match[1]), int(match[2]), match[3]))
    return told


def read_lines(path):
    """Histories; a last line that was cut short was never finished."""
    rows = []
    try:
        with open(path) as file:
            for line in file:
                if line.endswith("\n"):
                    rows.append(json.loads(line))
    except OSError:
        pass
    return rows


def collect(engine, histories, limits):
    """The evidence of a run that is over and at rest."""
    connection = engine.mysql()
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        log = table(cursor, "seat_log", LOG, "shard, seq")
        grants = table(cursor, "grant_log", GRANTS, "seq")
        tables = {key: table(cursor, name, columns, "1, 2") for key, (name, columns) in TABLES.items()}
    connection.close()
    keys, active = read_redis(engine.redis())
    limits["read_at_ms"] = time.time() * 1000
    connection = engine.mysql()
    with connection.cursor() as cursor:
        later = table(cursor, "grant_log", GRANTS, "seq")[len(grants) :]
    connection.close()
    events, whole = read_events(engine.kafka_brokers())
    lines = engine.log_lines("persister")
    conflicts = int(max(sum(engine.conflicts.values()), sum("CONFLICT" in line for line in lines)))
    verify = engine.ticketctl("verify", "--dir", engine.directory, "--wait", "20", check=False)
    return (
        Evidence(
            log=log,
            grants=grants,
            grants_later=later,
            tables=tables,
            events=events,
            whole_topic=whole,
            ledger=engine.ledger(),
            redis=keys,
            active=active,
            operations=read_lines(histories.crowd),
            v1=read_lines(histories.v1),
            reads=read_lines(histories.reads),
            epochs=read_epochs(lines),
            conflicts=conflicts,
            verify=verify.returncode,
            limits=limits,
        ),
        verify.stdout,
    )
