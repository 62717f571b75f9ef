"""The payment-timer between a real broker and a real payment gateway simulator. The arbiter is played here: it says HELLO
for all shards, says what it wants of a payment, and hears what the payment gateway said."""

import contextlib
import http.server
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import msgpack
import pytest
import zmq
from conftest import ROOT, free_port, wait_until
from test_psp import Psp, Receiver

HELLO, WELCOME, ERROR, PAYMENT_DRIVE, PAYMENT_RESULT = 0x0001, 0x0002, 0x0003, 0x0301, 0x0302
SEAT_ARBITER = 3
AUTHORISED, CAPTURED, DECLINED, CANCELLED, REFUNDED, UNKNOWN = 2, 3, 4, 5, 6, 7
MALFORMED, BUSY = 1, 5
SHARDS, PERFORMANCE = 4, 7


def new_reservation(counter=itertools.count(1)):
    """Of changing slots, so of all shards."""
    number = next(counter)
    return (number % 1024 + 1) << 40 | number


class Arbiter:
    """One DEALER at the broker's socket for actors. Each wait also says HELLO as often as it must be said."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.hello_at = 0.0
        self.results = []  # (reservation, state, amount)
        self.errors = []  # (request id, code)
        self.welcomed = False

    def close(self):
        self.socket.close()

    def send(self, kind, key, *fields, request_id=bytes(16)):
        self.socket.send(msgpack.packb([kind, 1, request_id, 0, key, *fields]))

    def pump(self, ms=20):
        if time.monotonic() >= self.hello_at:
            shards = list(range(SHARDS))
            self.send(HELLO, 0, SEAT_ARBITER, "arbiter-played", "", shards, [1] * SHARDS)
            self.hello_at = time.monotonic() + 0.5
        if not self.socket.poll(ms):
            return
        unpacker = msgpack.Unpacker(raw=False)
        unpacker.feed(self.socket.recv())
        for kind, _, request_id, _, key, *fields in unpacker:
            if kind == PAYMENT_RESULT:
                self.results.append((key, *fields[:2]))
            elif kind == ERROR:
                self.errors.append((request_id, fields[0]))
            self.welcomed = self.welcomed or kind == WELCOME

    def pump_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()

    def drive(self, reservation, want, amount=1000, again=0, request_id=bytes(16)):
        self.send(PAYMENT_DRIVE, reservation, amount, want, again, PERFORMANCE, request_id=request_id)

    def next_result(self, reservation, timeout_s=10):
        """The next (state, amount) of a payment."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for at, (key, state, amount) in enumerate(self.results):
                if key == reservation:
                    del self.results[at]
                    return state, amount
            self.pump()
        raise AssertionError(f"no result of {reservation} within {timeout_s} s; errors {self.errors}")

    def until_decided(self, reservation, want, amount=1000, timeout_s=20, drive_again_s=0.2):
        """Drive again and again, as an arbiter does, until the result is not UNKNOWN."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.drive(reservation, want, amount, again=1)
            with contextlib.suppress(AssertionError):
                state, told = self.next_result(reservation, drive_again_s)
                if state != UNKNOWN:
                    return state, told
        raise AssertionError(f"{reservation} was not decided within {timeout_s} s")


class World:
    """A directory with a broker, a payment gateway, payment-timers and the arbiter that is played."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp"))
        self.processes = {}
        self.psp = None
        actors = f"ipc://{self.dir}/actors"
        self.settings = {
            "cluster.shards": SHARDS,
            "cluster.brokers": actors,
            "cluster.heartbeat_ms": 200,
            "broker.actor_endpoint": actors,
            "broker.client_endpoint": f"ipc://{self.dir}/clients",
            "broker.feed_endpoint": f"ipc://{self.dir}/feed",
            "payment.poll_ms": 100,
        }
        self.start("broker")
        self.arbiter = Arbiter(actors)

    def start(self, role, **settings):
        port = free_port()
        own = {key.replace("__", "."): value for key, value in settings.items()}
        words = [f"--set={key}={value}" for key, value in {**self.settings, **own}.items()]
        with (self.dir / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(
                [ROOT / "build" / role, f"--set=process.management=127.0.0.1:{port}", *words], stderr=log
            )
        wait_until(lambda: answers(port, "/livez"), what=f"{role}'s first answer")
        return port

    def start_timer(self, **settings):
        """Ready means linked; that the broker knows it is what the first drive needs, and that takes a HELLO."""
        port = self.start("payment-timer", **settings)
        wait_until(lambda: answers(port, "/readyz"), what="payment-timer ready")
        while not self.arbiter.welcomed:
            self.arbiter.pump()
        self.timer_port = port

    def start_psp(self, **settings):
        self.psp = Psp(self.dir, **settings)
        self.settings["payment.url"] = f"http://127.0.0.1:{self.psp.port}"

    def kill(self, role):
        process = self.processes.pop(role)
        process.kill()
        process.wait(timeout=10)

    def close(self):
        self.arbiter.close()
        statuses = {}
        for role, process in self.processes.items():
            process.send_signal(signal.SIGTERM)
            statuses[role] = process.wait(timeout=10)
        if self.psp is not None:
            statuses["psp-sim"] = abs(self.psp.stop()) % signal.SIGKILL
        logs = {role: (self.dir / f"{role}.log").read_text() for role in self.processes}
        if os.environ.get("KEEP_ENGINE_DIR"):
            print("kept", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        assert not any(statuses.values()), (statuses, logs)


def answers(port, path):
    with contextlib.suppress(urllib.error.URLError, OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).status == 200
    return False


def metric(port, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


@pytest.fixture
def world():
    one = World()
    try:
        yield one
    finally:
        one.close()


# ---- what the gateway says -----------------------------------------------------------------


def test_approved_captured_and_refunded(world):
    world.start_psp(psp__success_percent=100, psp__delay_ms=150)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    assert arbiter.next_result(reservation) == (AUTHORISED, 1000)
    for _ in range(2):  # twice is once
        arbiter.drive(reservation, CAPTURED, again=1)
        assert arbiter.next_result(reservation) == (CAPTURED, 1000)
    arbiter.drive(reservation, AUTHORISED, again=1)
    assert arbiter.next_result(reservation) == (CAPTURED, 1000), "the truth, not the want"
    for _ in range(2):
        arbiter.drive(reservation, CANCELLED, again=1)
        assert arbiter.next_result(reservation) == (REFUNDED, 1000)
    ledger = world.psp.ledger()
    assert (ledger["payments"], ledger["capturedAmount"], ledger["refundedAmount"]) == (1, 1000, 1000)
    assert ledger["items"][0]["reference"] == f"performance-{PERFORMANCE}-reservation-{reservation}"
    assert metric(world.timer_port, "ticketlab_payment_intents") == 0
    assert metric(world.timer_port, "ticketlab_payment_call_errors_total") == 0


def test_declined(world):
    world.start_psp(psp__success_percent=0, psp__delay_ms=150)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    assert arbiter.next_result(reservation) == (DECLINED, 1000)
    arbiter.drive(reservation, CAPTURED)
    assert arbiter.next_result(reservation) == (DECLINED, 1000)
    arbiter.drive(reservation, CANCELLED)
    assert arbiter.next_result(reservation) == (DECLINED, 1000)


def test_cancelled_while_pending(world):
    world.start_psp(psp__success_percent=100, psp__delay_ms=60000)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    wait_until(lambda: world.psp.state(reservation) == "PENDING", 10, what="the payment at the gateway")
    arbiter.drive(reservation, CANCELLED)
    assert arbiter.next_result(reservation) == (CANCELLED, 1000)
    assert world.psp.state(reservation) == "CANCELLED"


def test_cancelled_after_it_was_authorised(world):
    world.start_psp(psp__success_percent=100)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    assert arbiter.next_result(reservation) == (AUTHORISED, 1000)
    arbiter.drive(reservation, CANCELLED)
    assert arbiter.next_result(reservation) == (CANCELLED, 1000)


def test_a_cancel_that_comes_first_stops_a_late_authorise(world):
    world.start_psp(psp__success_percent=100)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, CANCELLED)
    assert arbiter.next_result(reservation) == (CANCELLED, 0)
    for again in (0, 1):
        arbiter.drive(reservation, AUTHORISED, again=again)
        assert arbiter.next_result(reservation) == (CANCELLED, 0)
    assert world.psp.ledger()["authorised"] == 0


def test_the_gateways_amount_is_told(world):
    world.start_psp(psp__success_percent=100)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    world.psp.pay(reservation, 500)
    world.psp.decided(reservation)
    for again in (0, 1):
        arbiter.drive(reservation, AUTHORISED, amount=1000, again=again)
        assert arbiter.next_result(reservation) == (AUTHORISED, 500)


def test_a_drive_after_a_callback_looks_at_once(world):
    receiver = Receiver()
    try:
        world.start_psp(psp__success_percent=100, psp__delay_ms=300)
        world.start_timer(payment__poll_ms=60000, payment__callback_url=receiver.url)
        arbiter, reservation = world.arbiter, new_reservation()
        arbiter.drive(reservation, AUTHORISED)
        wait_until(lambda: arbiter.pump() or receiver.got, 10, 0, "the callback")
        assert json.loads(receiver.got[0][1])["paymentId"] == str(reservation)
        arbiter.drive(reservation, AUTHORISED, again=1)
        assert arbiter.next_result(reservation, 5) == (AUTHORISED, 1000)
    finally:
        receiver.close()


# ---- what goes wrong -----------------------------------------------------------------------


def test_the_gateway_dies_and_comes_back(world):
    world.start_psp(psp__success_percent=100, psp__delay_ms=1000)
    world.start_timer(payment__call_timeout_ms=500)
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    wait_until(lambda: world.psp.state(reservation) == "PENDING", 10, what="the payment at the gateway")
    world.psp.kill()
    arbiter.drive(reservation, AUTHORISED, again=1)
    assert arbiter.next_result(reservation) == (UNKNOWN, 0)
    arbiter.pump_for(0.5)
    assert arbiter.results == [], "once for each drive"
    world.psp.start()
    assert arbiter.until_decided(reservation, AUTHORISED) == (AUTHORISED, 1000)
    assert world.psp.ledger()["payments"] == 1
    assert metric(world.timer_port, "ticketlab_payment_call_errors_total") > 0


def test_the_timer_is_killed_in_the_middle(world):
    world.start_psp(psp__success_percent=100, psp__delay_ms=800)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED)
    wait_until(lambda: world.psp.state(reservation) == "PENDING", 10, what="the payment at the gateway")
    world.kill("payment-timer")
    world.start_timer()
    assert arbiter.until_decided(reservation, AUTHORISED) == (AUTHORISED, 1000)
    arbiter.drive(reservation, CAPTURED)
    assert arbiter.next_result(reservation) == (CAPTURED, 1000)
    ledger = world.psp.ledger()
    assert (ledger["payments"], ledger["capturedAmount"]) == (1, 1000)


def test_many_payments_over_few_calls_with_a_kill(world):
    """Every payment is decided as the gateway decided it, and each was asked for once."""
    count = 300
    world.start_psp(psp__success_percent=60, psp__delay_ms=300)
    world.start_timer(payment__calls_max=3)
    arbiter = world.arbiter
    told = {}
    undecided = {new_reservation() for _ in range(count)}
    for reservation in undecided:
        arbiter.drive(reservation, AUTHORISED)
    end, killed = time.monotonic() + 60, False
    while undecided and time.monotonic() < end:
        arbiter.pump_for(0.5)
        told.update({key: state for key, state, amount in arbiter.results if state != UNKNOWN})
        arbiter.results.clear()
        undecided -= set(told)
        if not killed:
            world.kill("payment-timer")
            world.start_timer(payment__calls_max=3)
            killed = True
        for reservation in undecided:
            arbiter.drive(reservation, AUTHORISED, again=1)
    assert not undecided
    ledger = world.psp.ledger()
    assert ledger["payments"] == count
    names = {"AUTHORISED": AUTHORISED, "DECLINED": DECLINED}
    assert told == {int(item["id"]): names[item["state"]] for item in ledger["items"]}


class BadGateway:
    """Answers the calls with what it was told to, in order, and the last for ever; None: closes without a word."""

    def __init__(self, *script):
        self.script = list(script)
        self.seen = []
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                size = int(self.headers.get("Content-Length", 0))
                gateway.seen.append((self.command, self.path, self.rfile.read(size)))
                script = gateway.script
                step = script.pop(0) if len(script) > 1 else script[0]
                if step is None:
                    self.close_connection = True
                    return
                if callable(step):
                    step = step()
                status, body = step
                with contextlib.suppress(ConnectionError):  # the caller may be tired of waiting
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_what_cannot_be_used_is_never_taken_for_an_answer(world):
    reservation = new_reservation()

    def body(**more):
        return json.dumps({"id": str(reservation), "state": "AUTHORISED", "amount": 1000, **more}).encode()

    def late():
        time.sleep(0.6)
        return 200, body()

    script = [  # closing comes first: on a connection that it knows, the client itself tries once more
        None, (500, body()), (503, b"busy"), (200, b'{"state":"AUTHORISED"'), (200, b""), (200, body(id="1")),
        (200, body(state="DONE")), (200, body(amount="1000")), (404, b"<html>a proxy's page</html>"), late,
        (400, body()), (302, body()), (404, b'{"error":"no such payment"}'), (202, body(state="PENDING")), (200, body()),
    ]
    unusable = 12
    gateway = BadGateway(*script)
    try:
        world.start_timer(payment__url=gateway.url, payment__call_timeout_ms=300, payment__poll_ms=40)
        assert world.arbiter.until_decided(reservation, AUTHORISED) == (AUTHORISED, 1000)
        calls = [(method, path) for method, path, _ in gateway.seen]
        query = ("GET", f"/payments/{reservation}")
        assert calls == [query] * (unusable + 1) + [("POST", "/payments"), query]
        assert metric(world.timer_port, "ticketlab_payment_call_errors_total") == unusable
    finally:
        gateway.close()


def test_an_amount_that_json_cannot_tell_is_not_sent(world):
    world.start_psp(psp__success_percent=100)
    world.start_timer()
    arbiter, reservation = world.arbiter, new_reservation()
    arbiter.drive(reservation, AUTHORISED, amount=1 << 63)
    assert arbiter.next_result(reservation) == (UNKNOWN, 0)
    assert world.psp.ledger()["payments"] == 0
    arbiter.drive(reservation, AUTHORISED, amount=1000)
    assert arbiter.next_result(reservation) == (AUTHORISED, 1000)


def test_what_does_not_fit_is_refused(world):
    world.start_psp(psp__success_percent=100, psp__delay_ms=60000)
    world.start_timer(payment__intents_max=64)
    arbiter = world.arbiter
    reservations = [new_reservation() for _ in range(100)]
    for number, reservation in enumerate(reservations):
        arbiter.drive(reservation, AUTHORISED, request_id=number.to_bytes(16, "big"))
    wait_until(lambda: arbiter.pump() or len(arbiter.errors) == 36, 10, 0, "36 refusals")
    assert arbiter.errors == [(number.to_bytes(16, "big"), BUSY) for number in range(64, 100)]
    wait_until(lambda: arbiter.pump() or world.psp.ledger()["payments"] == 64, 10, 0, "64 payments")
    arbiter.drive(reservations[0], CANCELLED)
    assert arbiter.next_result(reservations[0]) == (CANCELLED, 1000)
    arbiter.drive(reservations[64], AUTHORISED, again=1)  # into the place that is free now
    wait_until(lambda: arbiter.pump() or world.psp.state(reservations[64]) == "PENDING", 10, 0, "the payment")


def test_what_cannot_be_wanted_is_malformed(world):
    world.start_psp()
    world.start_timer()
    for want in (0, 1, DECLINED, REFUNDED, UNKNOWN, 200):
        world.arbiter.drive(new_reservation(), want, request_id=bytes([want]) * 16)
        wait_until(lambda: world.arbiter.pump() or world.arbiter.errors, 10, 0, "a refusal")
        assert world.arbiter.errors.pop() == (bytes([want]) * 16, MALFORMED)
    assert world.psp.ledger()["payments"] == 0
