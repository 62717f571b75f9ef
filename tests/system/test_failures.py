"""One call fails: the n-th allocation, the n-th system call; of every actor, over its start and one request.

A start whose n-th call failed must either come to readiness, answer the request right and end with status 0, or end by
itself with status 1 or 2 and one sentence that says why (or at an assertion, which names its line). Afterwards the n-th
call of a request fails in a process that runs: then it must go on and the request, said again under the same id as the
protocol wants it, be answered right; or it must end as above, and its successor answer.

    NTH_START=12    runs of a start: so many n are drawn where there are more (0: all of them; of more than 2,000 those, and
                    200 of the rest: there the same is done again for each seat)
    NTH_REQUEST=10  failing calls in requests, the same way
    NTH_SEED=1      of the drawing
    NTH_N=17        this n alone, to look at a failure again
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import tempfile
import threading
import time
import uuid

import msgpack
import pymysql
import pytest
from conftest import ROOT, free_port, running_engine, wait_until
from failing_world import KINDS, Actor, Stage, Wrong
from test_python_client import ACTIVE, BUSY, CANCEL, CANCEL_SEAT, CONFIRMED, ENTER, HOLD, LEAVE, PAY, PERFORMANCE
from test_python_client import PLACE_GET, REFUNDED, UNAVAILABLE, UNKNOWN, Client, expect

SEATS, PATIENCE_S, ANSWER_MS, AGAIN_S, SLOW_S = 2000, 15, 100, 0.02, 2
EARLY = 400
EVERY, BEHIND = 2000, 200
DESCRIPTORS_KEPT = 4  # connections that clients keep for the next request
RUNS = {"start": int(os.environ.get("NTH_START", 12)), "request": int(os.environ.get("NTH_REQUEST", 10))}
SEED = int(os.environ.get("NTH_SEED", 1))


# ---- requests, and what is right -----------------------------------------------------------


class QuickClient(Client):
    """Asks again soon: what is lost here is lost on purpose. look() says when there is nobody to ask any more."""

    def __init__(self, endpoint, look):
        super().__init__(endpoint)
        self.look = look

    def ask(self, kind, key, *fields):
        request_id, end = uuid.uuid4().bytes, time.monotonic() + PATIENCE_S
        data = msgpack.packb([kind, 1, request_id, 0, key, *fields])
        while time.monotonic() < end:
            self.look()
            self.send_bytes(data)
            reply = self.receive(ANSWER_MS)
            while reply is not None and reply[0] != request_id:
                reply = self.receive(ANSWER_MS)
            if reply is None:
                continue
            if reply[1] != "ERROR" or reply[2]["code"] not in (BUSY, UNKNOWN, UNAVAILABLE):
                return reply[1:]
            time.sleep(AGAIN_S)
        raise AssertionError(f"no answer to {kind:#06x} within {PATIENCE_S} s")


def new_user(counter=iter(range(1, 1 << 40))):
    return next(counter)


def new_seat(counter=iter(range(1 << 40))):
    return next(counter) % SEATS + 1


def whole(method, path, data):
    """The answer's JSON; half of one, or none, is worse than no answer."""
    try:
        return json.loads(data)
    except ValueError:
        raise Wrong(f"{method} {path}: answered with {data[-80:]!r}") from None


class Requests:
    """One sale from entering to the refund, by each of the ways in; and what must come of it elsewhere."""

    def __init__(self, status, texts):
        self.status, self.texts, self.actor = status, texts, None
        self.left = {}  # seat: whose sale of it has not come to its end
        self.endpoint = status["endpoints"]["client"]
        self.mysql = pymysql.connect(unix_socket=f"{status['dir']}/mysql.sock", user="ticketlab", autocommit=True,
                                     password=status["endpoints"]["mysql"].split(":")[2].split("@")[0],
                                     database="ticket_db")

    def look(self):
        if self.actor is not None and self.actor.ended():
            raise Wrong("it ended in the middle")

    def take_seat(self, user):
        """A seat for a sale. An earlier sale of it may have ended in the middle, with its actor: then it is given back."""
        seat = new_seat()
        if seat in self.left:
            with contextlib.closing(QuickClient(self.endpoint, self.look)) as client:
                client.ask(CANCEL_SEAT, PERFORMANCE << 32 | seat, self.left[seat])
        self.left[seat] = user
        return seat

    def sale(self):
        user = new_user()
        seat = self.take_seat(user)
        with contextlib.closing(QuickClient(self.endpoint, self.look)) as client:
            name, place = client.ask(ENTER, PERFORMANCE, user, b"")
            while place["state"] != ACTIVE:
                time.sleep(0.005)
                name, place = client.ask(PLACE_GET, PERFORMANCE, user)
                assert name == "PLACE", place
            key = PERFORMANCE << 32 | seat
            held = expect(client.ask(HOLD, key, user, [seat], place["pass"]), "RESERVATION", seats=[seat], user_id=user)
            id = held["reservation_id"]
            paid = expect(client.ask(PAY, id, user, 1), "RESERVATION", state=CONFIRMED, reservation_id=id)
            assert paid["amount"] == held["amount"] > 0
            expect(client.ask(CANCEL, id, user), "RESERVATION", state=REFUNDED, reservation_id=id)
            expect(client.ask(LEAVE, PERFORMANCE, user, 0), "PLACE", state=0)
        del self.left[seat]
        return user

    def sale_over_http(self):
        user, reservations = new_user(), f"/api/v2/performances/{PERFORMANCE}/reservations"
        seat = self.take_seat(user)
        place = self.http("POST", f"/api/v2/performances/{PERFORMANCE}/tickets", {"userId": user}, 202)
        ticket = place["ticket"]
        while place["state"] != "ACTIVE":
            time.sleep(0.005)
            place = self.http("GET", f"/api/v2/performances/{PERFORMANCE}/tickets/me", None, 200, ticket)
        held = self.http("POST", reservations, {"seats": [seat]}, 201, ticket)
        at = f"/api/v2/reservations/{held['reservationId']}"
        paid = self.http("POST", at + "/payments?wait=true", {}, 200, ticket)
        assert (held["state"], paid["state"], paid["seats"]) == ("HELD", "CONFIRMED", [seat]), (held, paid)
        # 409: it was cancelled, but the answer was lost; DELETE has no key that would tell that it was ours.
        over = self.http("DELETE", at, None, 200, ticket, lost=409) or self.http("GET", at, None, 200, ticket)
        assert over["state"] == "REFUNDED", over
        del self.left[seat]
        shown = self.http("GET", f"/api/v2/performances/{PERFORMANCE}/seats", None, 200)
        assert shown is not None

    def http(self, method, path, body, wanted, ticket=None, lost=None):
        """Ask until there is an answer, under one idempotency key; a broken connection is none, nor is a 500: it says
        that there was no memory for the answer."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        if ticket is not None:
            headers["Authorization"] = f"Bearer {ticket}"
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.look()
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.status["http_port"], timeout=3)
                with contextlib.closing(connection):
                    connection.request(method, path, None if body is None else json.dumps(body), headers)
                    answer = connection.getresponse()
                    data = answer.read()
                    if answer.status == lost:
                        return None
                    if answer.status not in (wanted, 500, 503):
                        raise Wrong(f"{method} {path}: {answer.status} {data.decode()}")
                    if answer.status == wanted:
                        return whole(method, path, data)
            time.sleep(AGAIN_S)
        raise AssertionError(f"no answer to {method} {path} within {PATIENCE_S} s")

    def sale_to_kafka(self):
        """Delivered is what the cursor has passed: it moves on delivery reports alone."""
        self.sale()
        wait_until(self.all_delivered, PATIENCE_S, 0.01, "the outbox's end")

    def all_delivered(self):
        self.look()
        with self.mysql.cursor() as cursor:
            cursor.execute("SELECT l.shard FROM (SELECT shard, MAX(seq) AS last FROM seat_log GROUP BY shard) l"
                           " LEFT JOIN outbox_cursor c USING (shard) WHERE c.seq IS NULL OR c.seq < l.last")
            return not cursor.fetchall()

    def sale_to_texts(self):
        """Each of the two letters of a sale is sent: not lost, not given up."""
        user = self.sale()
        for kind in ("RESERVATION_SUCCESS", "RESERVATION_CANCELLED"):
            wait_until(lambda: self.look() or (user, kind) in self.texts, PATIENCE_S, 0.01, f"{kind} of user {user}")


class TextHandler(http.server.BaseHTTPRequestHandler):
    """The server of SMS: takes them all."""

    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.texts.add((text["userId"], text["eventType"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def stage():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TextHandler)
    server.texts = set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "admission.interval_ms": 10, "cluster.heartbeat_ms": 100, "cluster.silence_ms": 1000,
        "arbiter.lease_ttl_ms": 400, "arbiter.lease_renew_ms": 100, "arbiter.takeover_ms": 0,
        "arbiter.drive_again_ms": 100, "payment.poll_ms": 50, "payment.call_timeout_ms": 1000,
        "kafka.poll_ms": 20, "notifier.backoff_ms": 20, "mysql.lanes": 2,
        "notifier.sms_url": f"http://127.0.0.1:{server.server_port}/sms",
    }
    with running_engine(seats=SEATS, payment_ms=1, payment_success=100, max_active=1000, rate=1000000,
                        set=settings) as status:
        one = Stage(status)
        one.requests = Requests(status, server.texts)
        try:
            yield one
        finally:
            one.close()
    server.shutdown()


# ---- one failing call ----------------------------------------------------------------------


def numbers(total, phase, what):
    """Which n: all, or as many as are wanted, drawn."""
    if "NTH_N" in os.environ:
        return [int(os.environ["NTH_N"])]
    wanted = RUNS[phase]
    chance = random.Random(f"{SEED} {phase} {what}")
    if wanted == 0 and total > EVERY + BEHIND:
        return list(range(1, EVERY + 1)) + sorted(chance.sample(range(EVERY + 1, total + 1), BEHIND))
    if wanted == 0 or total <= wanted:
        return list(range(1, total + 1))
    if total <= EARLY:
        return sorted(chance.sample(range(1, total + 1), wanted))
    # Half of them where each call is another one; behind that the same is done for each seat.
    early = min(EARLY, wanted // 2)
    late = min(total - EARLY, wanted - early)
    return sorted(chance.sample(range(1, EARLY + 1), early) + chance.sample(range(EARLY + 1, total + 1), late))


def checked(actor, faults, what, step):
    """Carry out a step; what is wrong with it is kept with what is needed to look at it again."""
    begun = time.monotonic()
    try:
        outcome = step()
        if time.monotonic() - begun > SLOW_S:
            print(f"slow: {what}: {actor.control.line(actor.program)}: {outcome} after {time.monotonic() - begun:.1f} s")
        return outcome
    except AssertionError as wrong:
        log = "\n".join(actor.text().splitlines()[-5:])
        faults.append(f"{what}: {actor.control.line(actor.program)}\n  {wrong}\n  {log}")
        actor.kill()
        return None


def start_and_ask(actor, kind, nth, ask):
    actor.start(kind, nth)
    if actor.wait_ready():
        survived = answered(actor, ask)
        if survived:
            status = actor.stop()
            if status == 0:
                return "works"
    actor.judge_end()
    return "ends"


def answered(actor, ask):
    """True: the answer was right. False: the process ended instead."""
    try:
        ask()
        return True
    except AssertionError:
        if not actor.ended():
            raise
        return False


def check_starts(actor, kind, name, ask, outcomes):
    faults = []
    actor.start(kind, 0)
    assert actor.wait_ready(), actor.text()
    ask()
    total = actor.control.calls
    assert actor.stop() == 0, actor.text()
    for nth in numbers(total, "start", name):
        outcome = checked(actor, faults, f"start of {name}, n = {nth}", lambda: start_and_ask(actor, kind, nth, ask))
        if outcome is not None:
            outcomes[outcome if actor.control.fired else "not reached"] += 1
    return total, faults


def fresh(actor, kind, ask):
    actor.start(kind, 0)
    assert actor.wait_ready(), actor.text()
    ask()


def ask_once_more(actor, kind, nth, ask):
    actor.control.arm(kind, nth)
    right = answered(actor, ask)
    time.sleep(0.02)
    actor.control.disarm()
    # The call may have failed after the answer, and an end takes its time: who answers once more goes on.
    if right and (not actor.control.fired or answered(actor, ask)):
        return "works"
    actor.process.wait(timeout=5)
    actor.judge_end()
    return "ends"


def check_requests(actor, kind, name, ask, outcomes):
    faults = []
    fresh(actor, kind, ask)
    actor.control.arm(kind, 0)
    ask()
    total, before = actor.control.calls, actor.descriptors()
    for nth in numbers(total, "request", name):
        outcome = checked(actor, faults, f"request of {name}, n = {nth}", lambda: ask_once_more(actor, kind, nth, ask))
        if outcome is not None:
            outcomes[outcome if actor.control.fired else "not reached"] += 1
        if actor.ended():
            fresh(actor, kind, ask)
            before = actor.descriptors()
    actor.control.arm(kind, 0)
    ask()
    if actor.descriptors() > before + DESCRIPTORS_KEPT:
        faults.append(f"{name}: {before} descriptors became {actor.descriptors()}")
    assert actor.stop() == 0, actor.text()
    return total, faults


def check(actor, kind, role, ask):
    name, faults, lines = f"{role}, {kind}", [], []
    for phase, run in (("start", check_starts), ("request", check_requests)):
        outcomes = {"works": 0, "ends": 0, "not reached": 0}
        begun = time.monotonic()
        total, found = run(actor, KINDS[kind], name, ask, outcomes)
        faults += found
        lines.append(f"{name}: {phase}: {total} calls, {outcomes}, {time.monotonic() - begun:.1f} s")
        if phase == "start" and outcomes["works"] + outcomes["ends"] == 0:
            faults.append(f"{name}: no call was made to fail")
    print(*lines, sep="\n")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


# ---- every actor ---------------------------------------------------------------------------

WAYS = {
    "broker": "sale", "admission": "sale", "seat-arbiter": "sale", "payment-timer": "sale", "persister": "sale",
    "psp-sim": "sale", "gateway": "sale_over_http", "kafka-bridge": "sale_to_kafka", "notifier": "sale_to_texts",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", WAYS)
def test_one_call_fails(stage, role, kind):
    more = ["arbiter.instances=1"] if role == "seat-arbiter" else []
    with stage.replaced(role, *more) as actor:
        stage.requests.actor = actor
        check(actor, kind, role, getattr(stage.requests, WAYS[role]))
        stage.requests.actor = None


@pytest.mark.parametrize("kind", KINDS)
def test_one_call_of_kafka_mock_fails(kind):
    """By itself: its clients would look for its new address for half a second each time."""
    from confluent_kafka.admin import AdminClient

    with tempfile.TemporaryDirectory(prefix="ticketlab-", dir="/tmp") as directory:
        port, brokers = free_port(), pathlib.Path(directory) / "brokers"

        def ask():
            client = AdminClient({"bootstrap.servers": brokers.read_text().strip(), "log_level": 0})
            found = client.list_topics(timeout=PATIENCE_S)
            assert len(found.brokers) == 1 and "reservation-events" in found.topics, found.topics

        actor = Actor(directory, [str(ROOT / "build" / "kafka-mock"), f"--set=process.management=127.0.0.1:{port}",
                                  f"--set=kafka.brokers=file:{brokers}"], port)
        try:
            check(actor, kind, "kafka-mock", ask)
        finally:
            actor.kill()
