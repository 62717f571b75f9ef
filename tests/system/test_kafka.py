"""Events from the outbox to people: kafka-bridge and notifier against a real Kafka and a real MariaDB.

The rows of seat_log are written by the test itself, as a batch of the persister would.
"""

import collections
import json
import random
import re
import signal
import time

import pytest
from conftest import ROOT, wait_until
from kafka_world import (
    DEAD_LETTERS,
    PARTITIONS,
    SHARDS,
    MailHandler,
    SmsHandler,
    World,
    event_schema,
    metric,
    murmur2,
    schema_faults,
    serve,
)

HOLD, CONFIRM, EXPIRE, CAPTURED = 1, 5, 4, 13
SEAT_STATES = {HOLD: 1, CONFIRM: 4, EXPIRE: 0, CAPTURED: 4}
GROUPS = ["ticket-reservation-mail", "ticket-reservation-sms", "ticket-reservation-statistics"]


class Log:
    """seat_log as the arbiters would have it: each shard's numbers without a gap, each seat's versions + 1."""

    def __init__(self, world):
        self.world = world
        self.seq = collections.Counter()
        self.version = collections.Counter()
        self.rows = []
        for shard in range(SHARDS):
            world.sql(f"INSERT INTO shard_owner (shard, epoch) VALUES ({shard}, 1) ON DUPLICATE KEY UPDATE epoch = 1")

    def add(self, change, seat, user=1001, shard=None):
        shard = seat % SHARDS if shard is None else shard
        self.seq[shard] += 1
        version = 0
        if change != CAPTURED:
            self.version[seat] += 1
            version = self.version[seat]
        self.rows.append({
            "shard": shard, "seq": self.seq[shard], "epoch": 1, "change": change, "performance_id": 1,
            "seat_id": seat, "version": version, "state": SEAT_STATES[change], "reservation_id": 7_000 + seat,
            "reservation_state": 1, "user_id": user, "amount": 50_000, "payment_state": 0, "held_until_ms": 0,
            "at_ms": 1_717_171_717_123, "request_id": b"\0" * 16, "body_hash": 0, "leader": 1,
        })

    def commit(self):
        """Write what was added, and make it visible as a batch does: rows first, then the shard's number."""
        if not self.rows:
            return
        names = list(self.rows[0])
        columns = ", ".join(f"`{name}`" for name in names)
        marks = ", ".join(["%s"] * len(names))
        self.world.sql(f"INSERT INTO seat_log ({columns}) VALUES ({marks})",
                       [[row[name] for name in names] for row in self.rows])
        for shard, seq in self.seq.items():
            self.world.sql(f"UPDATE shard_owner SET applied_seq = {seq} WHERE shard = {shard}")
        self.rows.clear()

    def crowd(self, seats, rounds, chance):
        """Seats held and let go, again and again, at random."""
        for seat in (chance.randrange(1, seats + 1) for _ in range(rounds)):
            self.add(HOLD, seat)
            self.add(EXPIRE, seat)

    def delivered(self):
        cursors = dict(self.world.sql("SELECT shard, seq FROM outbox_cursor"))
        return all(cursors.get(shard) == seq for shard, seq in self.seq.items())


@pytest.fixture
def world():
    it = World()
    try:
        it.start_kafka()
        it.start_mysql()
        yield it
    finally:
        it.close()


@pytest.fixture
def world_in_memory():
    it = World()
    try:
        it.start_ready("kafka-mock")
        it.start_mysql()
        yield it
    finally:
        it.close()


def events(world):
    """Events of the topic, partition by partition, as dictionaries."""
    return {n: [json.loads(r.value()) for r in records] for n, records in world.topic().items()}


def assert_complete_and_in_order(log, found):
    """Every row at least once; after removal of repetitions each seat's changes are in order."""
    numbers = collections.defaultdict(set)
    for partition in found.values():
        highest, versions = {}, {}
        for event in partition:
            numbers[event["shard"]].add(event["seq"])
            if event["seq"] <= highest.get(event["shard"], 0):
                continue
            highest[event["shard"]] = event["seq"]
            if event["seatVersion"] is not None:
                before = versions.get(event["seatId"], 0)
                assert event["seatVersion"] == before + 1, f"seat {event['seatId']}: {before} -> {event}"
                versions[event["seatId"]] = event["seatVersion"]
    for shard, seq in log.seq.items():
        missing = set(range(1, seq + 1)) - numbers[shard]
        assert not missing, f"shard {shard} lost {sorted(missing)[:10]}"


def test_the_schema_names_what_the_tables_have():
    states = (ROOT / "schemas" / "states.def").read_text()
    properties = event_schema()["properties"]
    changes = re.findall(r'^(?:PAYMENT_)?CHANGE\(\d+, (\w+),.*?"(\w+)"', states, re.M)
    assert properties["change"]["enum"] == [name for name, _ in changes]
    assert set(properties["eventType"]["enum"]) == {event for _, event in changes}
    assert properties["state"]["enum"] == re.findall(r"^SEAT_STATE\(\d+, (\w+)", states, re.M)


def test_every_row_becomes_one_event_where_java_would_put_it(world):
    log = Log(world)
    for seat in range(1, 101):
        log.add(HOLD, seat)
        log.add(CONFIRM, seat)
        log.add(CAPTURED, seat)
    log.commit()
    port = world.start_ready("kafka-bridge")
    wait_until(log.delivered, what="the cursors at the log's end")

    found = world.topic()
    assert len(found) == PARTITIONS, "the topic was made with kafka.partitions"
    records = [record for partition in found.values() for record in partition]
    assert len(records) == 300
    for record in records:
        event = json.loads(record.value())
        assert record.key() == str(event["seatId"]).encode()
        assert record.partition() == (murmur2(record.key()) & 0x7FFFFFFF) % PARTITIONS
        headers = {name: value.decode() for name, value in record.headers()}
        assert headers["ce_id"] == event["eventId"] == f"{event['shard']}-{event['seq']}"
        assert headers["ce_type"] == event["eventType"]
        assert headers["ce_specversion"] == "1.0" and headers["ce_time"] == event["occurredAt"]
        assert headers["ce_source"] == f"/ticketlab/shards/{event['shard']}"
        assert schema_faults(event, event_schema()) == []
    sold = next(e for e in map(lambda r: json.loads(r.value()), records)
                if e["seatId"] == 17 and e["change"] == "CONFIRM")
    assert sold == {
        "reservationId": 7017, "userId": 1001, "seatId": 17, "seatNumber": "17번 좌석",
        "reservedAt": "2024-05-31T16:08:37.123Z", "eventType": "RESERVATION_SUCCESS",
        "eventId": sold["eventId"], "seatVersion": 2, "performanceId": 1, "change": "CONFIRM", "shard": 1,
        "seq": sold["seq"], "state": "CONFIRMED", "amount": 50_000, "occurredAt": "2024-05-31T16:08:37.123Z",
    }
    assert_complete_and_in_order(log, events(world))
    assert metric(port, "ticketlab_events_delivered_total") == 300
    wait_until(lambda: metric(port, "ticketlab_events_lag") == 0, what="no lag")


def test_a_broker_killed_in_the_middle_loses_nothing(world):
    log = Log(world)
    chance = random.Random(1)
    port = world.start_ready("kafka-bridge", kafka_delivery_timeout_ms=1500)
    for blow in range(2):
        log.crowd(100, 1500, chance)
        log.commit()
        wait_until(lambda: metric(port, "ticketlab_events_delivered_total") > 0, what="a first delivery")
        world.stop("kafka", signal.SIGKILL)
        log.crowd(100, 500, chance)
        log.commit()
        if blow == 0:
            wait_until(lambda: metric(port, "ticketlab_events_producer_remade_total") > 0, what="a new producer")
            assert metric(port, "ticketlab_events_errors_total") > 0, "what was under way is counted"
        world.start_kafka()
    wait_until(log.delivered, timeout_s=60, what="the cursors at the log's end")
    assert_complete_and_in_order(log, events(world))


def test_a_bridge_killed_in_the_middle_goes_on_at_its_cursor(world):
    log = Log(world)
    chance = random.Random(2)
    for _ in range(4):
        log.crowd(100, 1000, chance)
        log.commit()
        port = world.start("kafka-bridge")
        wait_until(lambda: world.sql("SELECT SUM(seq) FROM outbox_cursor")[0][0], what="a cursor")
        world.stop("kafka-bridge", signal.SIGKILL)
    port = world.start_ready("kafka-bridge")
    wait_until(log.delivered, what="the cursors at the log's end")
    found = events(world)
    assert_complete_and_in_order(log, found)
    sent = metric(port, "ticketlab_events_delivered_total")
    assert sent < sum(log.seq.values()), "the last bridge began at the cursor, not at the first event"


def test_two_bridges_do_the_work_of_one(world):
    log = Log(world)
    world.start_ready("kafka-bridge", "first")
    second = world.start("kafka-bridge", "second")
    log.crowd(100, 500, random.Random(3))
    log.commit()
    wait_until(log.delivered, what="the cursors at the log's end")
    assert metric(second, "ticketlab_events_delivered_total") == 0
    assert sum(map(len, events(world).values())) == 1000
    world.stop("first", signal.SIGKILL)
    log.crowd(100, 500, random.Random(4))
    log.commit()
    wait_until(log.delivered, timeout_s=10, what="the second one at work")
    assert_complete_and_in_order(log, events(world))


def test_mysql_restarted_and_all_goes_on(world):
    log = Log(world)
    world.start_ready("kafka-bridge")
    log.crowd(50, 200, random.Random(5))
    log.commit()
    world.stop("mysql", signal.SIGKILL)
    world.run_mysql()
    log.crowd(50, 200, random.Random(6))
    log.commit()
    wait_until(log.delivered, what="the cursors at the log's end")
    assert_complete_and_in_order(log, events(world))


def test_a_gap_in_the_log_stops_the_lane(world):
    log = Log(world)
    port = world.start_ready("kafka-bridge")
    log.add(HOLD, 4)
    log.seq[0] += 1  # a number that no row has
    log.add(HOLD, 8)
    log.commit()
    wait_until(lambda: "a number is missing" in world.log("kafka-bridge"), what="the complaint")
    assert not log.delivered()
    assert [e["seq"] for partition in events(world).values() for e in partition if e["seq"] > 1] == []
    wait_until(lambda: metric(port, "ticketlab_ready") == 0, what="the end of readiness")


def notifier_settings(mail, sms):
    return {"notifier_smtp_url": f"smtp://127.0.0.1:{mail.port}", "notifier_sms_url": f"http://127.0.0.1:{sms.port}/"}


def all_committed(world, groups):
    return all(offset == end for group in groups for offset, end in world.committed(group).values())


def test_every_service_sees_every_event_once(world):
    log = Log(world)
    for seat in range(1, 41):
        log.add(HOLD, seat, user=seat)
        log.add(CONFIRM if seat % 2 else EXPIRE, seat, user=seat)
    log.commit()
    with serve(MailHandler) as mail, serve(SmsHandler) as sms:
        world.start_ready("kafka-bridge")
        port = world.start_ready("notifier", **notifier_settings(mail, sms))
        wait_until(lambda: all_committed(world, GROUPS) and len(mail.got) >= 40, what="everything committed")
        assert sorted(m["To"] for m in mail.got) == sorted(f"user-{n}@localhost" for n in range(1, 41))
        assert sorted(s["userId"] for s in sms.got) == list(range(1, 41))
        assert {m["Message-ID"] for m in mail.got} == {f"<event-{s['eventId']}@ticketlab>" for s in sms.got}
        letter = next(m for m in mail.got if m["To"] == "user-17@localhost")
        assert letter["Subject"] == "17번 좌석: 예약이 확정되었습니다"
        assert "50000" in letter.get_content()
        assert metric(port, "ticketlab_notifier_statistics_total") == 80
        assert metric(port, "ticketlab_statistics_success_total") == 20
        assert metric(port, "ticketlab_statistics_failed_total") == 20

        # Killed and started again: at work at once, and nothing is done a second time.
        world.stop("notifier", signal.SIGKILL)
        log.add(HOLD, 50)
        log.add(CONFIRM, 50, user=50)
        log.commit()
        started = time.monotonic()
        world.start_ready("notifier", **notifier_settings(mail, sms))
        wait_until(lambda: len(mail.got) == 41 and len(sms.got) == 41, what="the next event")
        assert time.monotonic() - started < 5
        assert all_committed(world, GROUPS) or wait_until(lambda: all_committed(world, GROUPS))
        assert (len(mail.got), len(sms.got)) == (41, 41)


def test_a_dead_mail_server_harms_only_mail(world):
    log = Log(world)
    for seat in range(1, 11):
        log.add(HOLD, seat, user=seat)
        log.add(CONFIRM, seat, user=seat)
    log.commit()
    with serve(SmsHandler) as sms:
        world.start_ready("kafka-bridge")
        port = world.start_ready("notifier", notifier_smtp_url="smtp://127.0.0.1:9",
                                 notifier_sms_url=f"http://127.0.0.1:{sms.port}/")
        wait_until(lambda: len(sms.got) == 10, what="the SMS")
        wait_until(lambda: metric(port, "ticketlab_notifier_dead_letters_total") == 10, what="the dead letters")
        wait_until(lambda: all_committed(world, GROUPS), what="everything committed")
        assert metric(port, "ticketlab_notifier_retries_total") == 20
    dead = [record for partition in world.topic(DEAD_LETTERS).values() for record in partition]
    assert sorted(int(json.loads(r.value())["seatId"]) for r in dead) == list(range(1, 11))
    for record in dead:
        headers = {name: value.decode() for name, value in record.headers()}
        assert headers["ce_id"] == json.loads(record.value())["eventId"], "the event's own headers are kept"
        assert headers["dlt_services"] == "mail" and headers["dlt_tries"] == "3"
        assert headers["dlt_error"].startswith("mail: ")
        assert headers["dlt_group"] == "ticket-reservation-mail"


def test_an_event_that_fails_is_not_skipped_because_a_later_one_is_done(world):
    """The old system's fault: a later record's commit covered the failed one."""
    log = Log(world)
    failing = {"user-1@localhost"}
    with serve(MailHandler, lambda who: who in failing) as mail, serve(SmsHandler) as sms:
        for version in range(5):
            log.add(HOLD, 1, user=1 if version == 0 else 2)
            log.add(EXPIRE, 1, user=1 if version == 0 else 2)
        log.commit()
        world.start_ready("kafka-bridge")
        settings = notifier_settings(mail, sms) | {"notifier_tries": 1000, "notifier_backoff_ms": 50}
        port = world.start_ready("notifier", **settings)
        wait_until(lambda: metric(port, "ticketlab_notifier_retries_total") > 2, what="tries")
        assert len(mail.got) == 0, "later events of the partition wait"
        world.stop("notifier", signal.SIGKILL)
        failing.clear()
        world.start_ready("notifier", **settings)
        wait_until(lambda: len(mail.got) == 5, what="all mails")
        assert [m["To"] for m in mail.got] == ["user-1@localhost"] + ["user-2@localhost"] * 4


def test_one_group_for_all_services(world):
    log = Log(world)
    for seat in range(1, 11):
        log.add(HOLD, seat, user=seat)
        log.add(CONFIRM, seat, user=seat)
    log.commit()
    with serve(MailHandler) as mail, serve(SmsHandler, lambda who: who == 3) as sms:
        world.start_ready("kafka-bridge")
        port = world.start_ready("notifier", notifier_group="ticket-reservation-group", **notifier_settings(mail, sms))
        wait_until(lambda: all_committed(world, ["ticket-reservation-group"]) and len(mail.got) >= 10,
                   what="everything committed")
        assert len(mail.got) == 10, "what did work is not done again with what did not"
        assert sorted(s["userId"] for s in sms.got) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
        assert metric(port, "ticketlab_notifier_statistics_total") == 20
    dead = [record for partition in world.topic(DEAD_LETTERS).values() for record in partition]
    assert [json.loads(record.value())["userId"] for record in dead] == [3]
    assert dict(dead[0].headers())["dlt_services"] == b"sms"


def test_what_is_no_event_goes_to_the_dead_letters_at_once(world):
    Log(world)
    world.start_ready("kafka-bridge")
    world.produce(b"\xff{ not json")
    port = world.start_ready("notifier")
    wait_until(lambda: metric(port, "ticketlab_notifier_dead_letters_total") == 1, what="the dead letter")
    dead = [record for partition in world.topic(DEAD_LETTERS).values() for record in partition]
    assert [record.value() for record in dead] == [b"\xff{ not json"]
    assert dict(dead[0].headers())["dlt_error"] == b"not JSON"


def test_a_lost_log_is_sent_again_from_the_first_event(world_in_memory):
    world = world_in_memory
    log = Log(world)
    with serve(MailHandler) as mail, serve(SmsHandler) as sms:
        port = world.start_ready("kafka-bridge")
        world.start_ready("notifier", notifier_balanced="false", **notifier_settings(mail, sms))
        for seat in range(1, 21):
            log.add(HOLD, seat, user=seat)
            log.add(CONFIRM, seat, user=seat)
        log.commit()
        wait_until(lambda: log.delivered() and len(mail.got) == 20, what="the first delivery")

        world.stop("kafka-mock", signal.SIGKILL)
        world.start_ready("kafka-mock")
        log.add(HOLD, 30)
        log.add(CONFIRM, 30, user=30)
        log.commit()
        wait_until(lambda: metric(port, "ticketlab_events_delivered_total") >= 82, what="all of it again")
        wait_until(log.delivered, what="the cursors at the log's end")
        assert_complete_and_in_order(log, events(world))
        wait_until(lambda: len(mail.got) >= 21, what="the new mail")
        assert len(mail.got) == 21, "what the notifier remembers it does not do again"

        # The same while the bridge is away.
        world.stop("kafka-bridge")
        world.stop("kafka-mock", signal.SIGKILL)
        world.start_ready("kafka-mock")
        world.start_ready("kafka-bridge")
        wait_until(lambda: sum(map(len, world.topic().values())) >= 42, what="all of it again")
        wait_until(log.delivered, what="the cursors at the log's end")
        assert_complete_and_in_order(log, events(world))


def test_leaders_that_change_all_the_time_lose_nothing(world_in_memory):
    world = world_in_memory
    world.stop("kafka-mock")
    world.start_ready("kafka-mock", kafka_mock_brokers=3, kafka_mock_leader_ms=3000)
    log = Log(world)
    with serve(MailHandler) as mail, serve(SmsHandler) as sms:
        world.start_ready("kafka-bridge")
        world.start_ready("notifier", notifier_balanced="false", **notifier_settings(mail, sms))
        for seat in range(1, 201):
            log.add(HOLD, seat, user=seat)
            log.add(CONFIRM, seat, user=seat)
            if seat % 10 == 0:
                log.commit()
                time.sleep(0.5)
        wait_until(lambda: log.delivered() and len(mail.got) == 200, what="all events and all mail")
    moves = world.log("kafka-mock").count("another leader")
    assert moves >= 3
    world.stop("kafka-bridge")
    assert_complete_and_in_order(log, events(world))
