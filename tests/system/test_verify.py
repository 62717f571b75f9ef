"""`ticketctl verify` must notice what does not agree. After a sale that is clean, one thing at a time is broken by hand."""

import json
import subprocess
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from conftest import pids, ticketctl
from test_recovery import mysql_arguments
from test_sale import load


def sql(status, statement):
    return subprocess.run(["mariadb", *mysql_arguments(status), "-N", "-e", statement], check=True,
                          capture_output=True, text=True).stdout


def redis(status, *words):
    socket = status["endpoints"]["redis"].removeprefix("unix://")
    return subprocess.run(["redis-cli", "-s", socket, *words], check=True, capture_output=True, text=True).stdout.strip()


def verify(status):
    done = ticketctl("verify", "--dir", status["dir"], check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sold():
    """One engine with a finished sale, for all cases; each case puts back what it broke."""
    from conftest import running_engine

    with running_engine(seats=20, payment_ms=200) as status:
        load(status, "seed", "--users", "60", "--seats", "20", "--speed", "10")
        code, said = verify(status)
        assert code == 0, said
        yield status


def test_a_deleted_reservation(sold):
    row = sql(sold, "SELECT * FROM ticket_db.seat_claim WHERE state=4 LIMIT 1").rstrip("\n").split("\t")
    sql(sold, f"DELETE FROM ticket_db.reservation WHERE seat_id={row[2]}")
    code, said = verify(sold)
    assert code == 4, said
    values = ",".join(f"'{value}'" for value in row)
    sql(sold, f"INSERT INTO ticket_db.seat_claim VALUES ({values})")
    assert verify(sold)[0] == 0


def test_a_missing_log_row(sold):
    row = sql(sold, "SELECT shard, seq FROM ticket_db.seat_log ORDER BY seq LIMIT 1").split()
    where = f"shard={row[0]} AND seq={row[1]}"
    sql(sold, f"CREATE TABLE ticket_db.kept AS SELECT * FROM ticket_db.seat_log WHERE {where};"
              f"DELETE FROM ticket_db.seat_log WHERE {where}")
    code, said = verify(sold)
    assert code == 4, said
    sql(sold, "INSERT INTO ticket_db.seat_log SELECT * FROM ticket_db.kept; DROP TABLE ticket_db.kept")
    assert verify(sold)[0] == 0


def test_a_missing_and_a_wrong_cache_entry(sold):
    redis(sold, "DEL", "state:seat:7")
    assert verify(sold)[0] == 4
    redis(sold, "SET", "state:seat:7", "SELECTED")
    assert verify(sold)[0] == 4
    redis(sold, "SET", "state:seat:7", "CONFIRMED", "EX", "100")
    assert verify(sold)[0] == 4
    redis(sold, "SET", "state:seat:7", "CONFIRMED")
    assert verify(sold)[0] == 0
    redis(sold, "SET", "state:seat:99", "CONFIRMED")
    assert verify(sold)[0] == 4
    redis(sold, "DEL", "state:seat:99")
    assert verify(sold)[0] == 0


def test_a_client_told_of_a_success_that_is_none(sold):
    path = f"{sold['dir']}/clients.jsonl"
    kept = open(path).read()
    lie = {"user": 999999, "seat": 1, "performance": 1, "op": "reserve", "outcome": "ok", "message": "", "atMs": 1}
    with open(path, "a") as file:
        file.write(json.dumps(lie) + "\n")
    assert verify(sold)[0] == 4
    open(path, "w").write(kept)
    assert verify(sold)[0] == 0


def events(status):
    """Every message of the topic, partition by partition."""
    consumer = Consumer({"bootstrap.servers": status["endpoints"]["kafka"], "group.id": f"t{time.monotonic_ns()}",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    found = []
    partitions = consumer.list_topics("reservation-events", timeout=10).topics["reservation-events"].partitions
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition("reservation-events", partition), timeout=10)
        consumer.assign([TopicPartition("reservation-events", partition, low)])
        while low < high:
            message = consumer.poll(10)
            if message is None or message.error():
                continue
            found.append(message)
            low = message.offset() + 1
    consumer.close()
    return found


def test_events_doubled_with_other_content_and_missing(engine):
    """These cannot be mended afterwards, so each has an engine of its own."""
    with engine(seats=5, payment_ms=100) as status:
        load(status, "seed", "--users", "10", "--seats", "5", "--speed", "10")
        message = events(status)[-1]
        producer = Producer({"bootstrap.servers": status["endpoints"]["kafka"]})
        # the very same again is at-least-once, and fine
        producer.produce("reservation-events", message.value(), message.key(), message.partition(),
                         headers=message.headers())
        producer.flush(10)
        code, said = verify(status)
        assert code == 0, said
        changed = json.loads(message.value())
        changed["userId"] = 123456
        producer.produce("reservation-events", json.dumps(changed).encode(), message.key(), message.partition(),
                         headers=message.headers())
        producer.flush(10)
        code, said = verify(status)
        assert code == 4, said


def test_events_missing(engine):
    with engine(seats=5, payment_ms=100) as status:
        bridge = pids(status["dir"], "kafka-bridge")
        assert len(bridge) == 1
        # The cursor is moved over changes that were never sent: as a bridge without delivery reports would do.
        sql(status, "UPDATE ticket_db.outbox_cursor SET seq=seq+1; "
                    "INSERT IGNORE INTO ticket_db.outbox_cursor (shard, seq) "
                    "SELECT shard, 1 FROM ticket_db.shard_owner WHERE shard<65535")
        import os
        import signal
        os.kill(bridge[0], signal.SIGKILL)  # it reads the cursor when it starts
        done = ticketctl("load", "--dir", status["dir"], "--scenario", "seed", "--users", "10", "--seats", "5",
                         "--speed", "10", check=False)
        assert done.returncode == 4, done.stdout + done.stderr
