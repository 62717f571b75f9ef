"""`ticketctl verify` must notice what does not agree. After a sale that is clean, one thing at a time is broken by hand."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from conftest import TICKETCTL, pids, ticketctl, wait_until
from test_recovery import mysql_arguments
from test_sale import load


def sql(status, statement):
    return subprocess.run(["mariadb", *mysql_arguments(status), "-N", "-e", statement], check=True,
                          capture_output=True, text=True).stdout


def redis(status, *words):
    socket = status["endpoints"]["redis"].removeprefix("unix://")
    return subprocess.run(["redis-cli", "-s", socket, *words], check=True, capture_output=True, text=True).stdout.strip()


def verify(status, wait_s=1, **settings):
    """Exit status and what was said. What is broken by hand does not heal: there is little to wait for."""
    environment = {f"TICKETLAB__{key.upper()}": value for key, value in settings.items()}
    done = subprocess.run([TICKETCTL, "verify", "--dir", status["dir"], "--wait", str(wait_s)], check=False,
                          capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sold():
    """One engine with a finished sale, for all cases; each case puts back what it broke."""
    from conftest import running_engine

    with running_engine(seats=20, payment_ms=200) as status:
        load(status, "seed", "--users", "60", "--seats", "20", "--speed", "10")
        code, said = verify(status, 15)
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


def call(url, body=None):
    """GET, or POST with a body. What was answered, refusals too."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.read().decode()


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


def copied(status, topic, messages):
    """The exit status of a verification that finds these messages, in this order, in place of the real topic."""
    producer = Producer({"bootstrap.servers": status["endpoints"]["kafka"], "partitioner": "murmur2"})
    for message in messages:
        producer.produce(topic, message.value(), message.key(), headers=message.headers())
    assert producer.flush(10) == 0
    return verify(status, KAFKA__TOPIC=topic)


def test_events_reordered_missing_and_sent_again(sold):
    real = events(sold)
    assert copied(sold, "same", real)[0] == 0
    assert copied(sold, "again", real + real[3:] + real[-5:])[0] == 0
    assert copied(sold, "missing", real[:7] + real[8:])[0] == 4
    # the first two events of one seat, the one for the other
    key = real[0].key()
    first, second = [at for at, message in enumerate(real) if message.key() == key][:2]
    swapped = list(real)
    swapped[first], swapped[second] = real[second], real[first]
    code, said = copied(sold, "swapped", swapped)
    assert code == 4 and "comes behind" in said, said


def test_a_seat_that_is_being_paid_is_no_error(engine):
    with engine(seats=2, payment_ms=4000) as status:
        http = status["endpoints"]["http"]
        call(f"{http}/api/v1/queue/enter?userId=7", b"")
        wait_until(lambda: "READY" in call(f"{http}/api/v1/queue/status?userId=7"), what="active")
        body = json.dumps({"userId": 7, "seatId": 1}).encode()
        payer = threading.Thread(target=call, args=(f"{http}/api/v1/reservations/reserve", body))
        payer.start()
        wait_until(lambda: sql(status, "SELECT 1 FROM ticket_db.seat_claim WHERE state=2"), what="PAYING")
        code, said = verify(status, 0)
        assert code == 0 and "1 being paid" in said, said
        payer.join()


def test_money_that_nobody_intended(engine):
    with engine(seats=2, payment_ms=100) as status:
        assert verify(status)[0] == 0
        call(f"{status['endpoints']['psp']}/payments", json.dumps({"id": "12345", "amount": 1}).encode())
        code, said = verify(status)
        assert code == 4 and "12345" in said, said


def test_a_store_that_cannot_be_looked_at(sold):
    for settings in ({"REDIS__URL": "unix:///nowhere"}, {"PAYMENT__URL": "http://127.0.0.1:1"},
                     {"KAFKA__BROKERS": "file:/nowhere"}, {"MYSQL__SOCKET": "/nowhere"}):
        code, said = verify(sold, 0, **settings)
        assert code == 1 and "could not be looked at" in said, said


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
        code, said = verify(status, 15)
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
        os.kill(bridge[0], signal.SIGKILL)  # it reads the cursor when it starts
        done = ticketctl("load", "--dir", status["dir"], "--scenario", "seed", "--users", "10", "--seats", "5",
                         "--speed", "10", check=False)
        assert done.returncode == 4, done.stdout + done.stderr


def test_leaders_that_change_meanwhile():
    """Kafka says NOT_LEADER_FOR_PARTITION to who asks a moment too late: that is no fault of the sale."""
    from conftest import running_engine

    with running_engine(seats=20, set={"kafka.mock_brokers": 3, "kafka.mock_leader_ms": 100}) as status:
        for _ in range(30):
            code, said = verify(status, 0)
            assert code == 0, said
