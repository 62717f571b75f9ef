"""The payment gateway simulator: the real binary, spoken to as a client would."""

import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import ROOT, free_port, wait_until

PSP = os.environ.get("PSP_SIM", str(ROOT / "build" / "psp-sim"))
KEY = "a key of the tests"


class Psp:
    """One psp-sim on a free port; kill() and start() keep its ledger."""

    def __init__(self, directory, **settings):
        self.port = free_port()
        self.log = pathlib.Path(directory) / "psp.log"
        self.settings = {
            "psp.listen": f"127.0.0.1:{self.port}",
            "psp.ledger": str(pathlib.Path(directory) / "ledger"),
            "psp.delay_ms": 0,
            "payment.callback_key": KEY,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        self.process = None
        self.start()

    def start(self):
        words = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([PSP, *words], stderr=log)
        wait_until(self.answers, 10, 0.01, "psp-sim's first answer")

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.call("GET", "/ledger")[0] == 200

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(10)

    def kill(self):
        self.stop(signal.SIGKILL)

    def call(self, method, path, body=None, raw=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = raw if raw is not None else (None if body is None else json.dumps(body))
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def pay(self, number, amount=1000, **more):
        return self.call("POST", "/payments", {"id": str(number), "amount": amount, **more})

    def state(self, number):
        return self.call("GET", f"/payments/{number}")[1].get("state")

    def ledger(self):
        return self.call("GET", "/ledger")[1]

    def decided(self, number):
        return wait_until(
            lambda: self.state(number) not in ("PENDING", None) and self.state(number), 10, 0.01, "a decision"
        )


@pytest.fixture
def psp():
    """psp(**settings): a running simulator; psp.delay_ms is written psp__delay_ms."""
    with tempfile.TemporaryDirectory(prefix="ticketlab-", dir="/tmp") as directory:
        started = []

        def start(**settings):
            started.append(Psp(directory, **settings))
            return started[-1]

        yield start
        for one in started:
            assert one.stop() in (0, -signal.SIGKILL), one.log.read_text()


class Receiver:
    """Takes callbacks, answers from `statuses` (then 200), and keeps what it got."""

    def __init__(self, statuses=()):
        self.got = []
        self.statuses = list(statuses)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/psp"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def await_count(self, count):
        wait_until(lambda: len(self.got) >= count, 15, 0.01, f"callback number {count}")
        return [json.loads(body) for _, body in self.got]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


# ---- authorise -----------------------------------------------------------------------------


def test_authorise_is_idempotent_and_another_amount_is_refused(psp):
    one = psp(psp__success_percent=100, psp__delay_ms=100)
    assert one.pay(77, 500, reference="performance-1-reservation-77") == (
        202,
        {"id": "77", "state": "PENDING", "amount": 500, "reference": "performance-1-reservation-77"},
    )
    assert one.pay(77, 500)[1]["state"] in ("PENDING", "AUTHORISED")
    status, refused = one.pay(77, 501)
    assert (status, refused["amount"]) == (409, 500) and refused["error"]
    assert one.decided(77) == "AUTHORISED"
    assert one.pay(77, 500)[1]["state"] == "AUTHORISED"
    ledger = one.ledger()
    assert (ledger["payments"], ledger["authorised"]) == (1, 1)


def test_a_payment_is_pending_for_its_delay(psp):
    one = psp(psp__delay_ms=300, psp__success_percent=100)
    begun = time.monotonic()
    one.pay(1)
    assert one.state(1) == "PENDING"
    one.decided(1)
    assert time.monotonic() - begun >= 0.3


def decisions(one, count=1000):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one.pay, range(1, count + 1)))
    wait_until(lambda: one.ledger()["authorised"] + one.ledger()["declined"] == count, 10, 0.05, "all decisions")
    return {item["id"]: item["state"] for item in one.ledger()["items"]}


def test_decisions_follow_seed_and_share(psp, tmp_path):
    first = decisions(psp(psp__success_percent=80, psp__seed=7))
    share = sum(state == "AUTHORISED" for state in first.values())
    assert 760 <= share <= 840, share  # 80 % of 1,000, within three standard deviations
    again = decisions(psp(psp__success_percent=80, psp__seed=7, psp__ledger=tmp_path / "again"))
    assert first == again
    other = decisions(psp(psp__success_percent=80, psp__seed=8, psp__ledger=tmp_path / "other"))
    assert first != other


@pytest.mark.parametrize("percent,state", [(0, "DECLINED"), (100, "AUTHORISED")])
def test_the_ends_of_the_share(psp, percent, state):
    one = psp(psp__success_percent=percent)
    assert set(decisions(one, 50).values()) == {state}


# ---- capture and cancel --------------------------------------------------------------------


def test_capture(psp):
    one = psp(psp__success_percent=100)
    one.pay(5, 250)
    one.decided(5)
    for _ in range(2):
        status, payment = one.call("POST", "/payments/5/capture")
        assert (status, payment["state"]) == (200, "CAPTURED")
    ledger = one.ledger()
    assert (ledger["captured"], ledger["capturedAmount"], ledger["refundedAmount"]) == (1, 250, 0)


def test_capture_of_what_is_not_authorised_is_refused(psp):
    one = psp(psp__success_percent=0, psp__delay_ms=200)
    one.pay(5)
    status, payment = one.call("POST", "/payments/5/capture")
    assert (status, payment["state"]) == (409, "PENDING")
    assert one.decided(5) == "DECLINED"
    status, payment = one.call("POST", "/payments/5/capture")
    assert (status, payment["state"]) == (409, "DECLINED")
    assert one.call("POST", "/payments/6/capture")[0] == 404


def test_cancel_in_every_state(psp):
    one = psp(psp__success_percent=100, psp__delay_ms=200)
    one.pay(1)  # pending: never decided any more
    assert one.call("POST", "/payments/1/cancel")[1]["state"] == "CANCELLED"
    one.pay(2)
    one.pay(3)
    one.decided(3)
    assert one.state(1) == "CANCELLED"
    assert one.call("POST", "/payments/2/cancel")[1]["state"] == "CANCELLED"
    one.call("POST", "/payments/3/capture")
    for _ in range(2):
        status, payment = one.call("POST", "/payments/3/cancel")
        assert (status, payment["state"]) == (200, "REFUNDED")
    ledger = one.ledger()
    assert (ledger["cancelled"], ledger["refunded"], ledger["refundedAmount"]) == (2, 1, 1000)
    assert one.call("POST", "/payments/2/capture")[0] == 409


def test_a_declined_payment_stays_declined(psp):
    one = psp(psp__success_percent=0)
    one.pay(4)
    one.decided(4)
    assert one.call("POST", "/payments/4/cancel")[1]["state"] == "DECLINED"


def test_cancel_before_authorise_leaves_a_tombstone(psp):
    one = psp(psp__success_percent=100)
    assert one.call("POST", "/payments/9/cancel")[1]["state"] == "CANCELLED"
    for _ in range(2):
        status, payment = one.pay(9)
        assert (status, payment["state"]) == (409, "CANCELLED")
    one.kill()
    one.start()
    assert one.pay(9)[1]["state"] == "CANCELLED"
    assert one.ledger()["authorised"] == 0


# ---- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"17",
        b'{"id":5,"amount":1}',
        b'{"id":"","amount":1}',
        b'{"id":"0","amount":1}',
        b'{"id":"05","amount":1}',
        b'{"id":"5x","amount":1}',
        b'{"id":"18446744073709551616","amount":1}',
        b'{"id":"5"}',
        b'{"id":"5","amount":-1}',
        b'{"id":"5","amount":1.5}',
        b'{"id":"5","amount":"1"}',
        b'{"id":"5","amount":9007199254740992}',
        b'{"id":"5","amount":1,"amount":2}',
        b'{"id":"5","amount":1,"reference":7}',
        b'{"id":"5","amount":1,"callbackUrl":"file:///etc/passwd"}',
        b'{"id":"5","amount":1,"callbackUrl":"http://' + b"x" * 300 + b'"}',
    ],
)
def test_bad_payments_are_refused_with_a_sentence(psp, body):
    one = psp()
    status, answer = one.call("POST", "/payments", raw=body)
    assert status == 400 and answer["error"]
    assert one.ledger()["payments"] == 0


def test_bad_addresses(psp):
    one = psp()
    assert one.call("GET", "/payments/1")[0] == 404
    assert one.call("GET", "/payments/one")[0] == 400
    assert one.call("GET", "/payments")[0] == 405
    assert one.call("DELETE", "/payments/1")[0] == 405
    assert one.call("GET", "/elsewhere")[0] == 404
    assert one.call("POST", "/payments/1/nothing")[0] == 404


def test_the_longest_strings_are_kept(psp):
    one = psp(psp__success_percent=100)
    reference = "\x01" * 128
    one.pay(1, reference=reference, callbackUrl="http://" + "\x01" * 249)
    one.kill()
    one.start()
    assert one.call("GET", "/payments/1")[1]["reference"] == reference


# ---- the ledger ----------------------------------------------------------------------------


def test_the_ledger_survives_a_kill(psp):
    one = psp(psp__success_percent=60, psp__seed=3)
    decisions(one, 40)
    for number in range(1, 21):
        one.call("POST", f"/payments/{number}/capture")
    for number in range(11, 31):
        one.call("POST", f"/payments/{number}/cancel")
    before = one.ledger()
    assert min(before[key] for key in ("captured", "cancelled", "refunded", "declined")) > 0
    one.kill()
    one.start()
    assert one.ledger() == before


def test_a_pending_payment_is_decided_at_its_time_after_a_kill(psp):
    one = psp(psp__success_percent=100, psp__delay_ms=1500)
    begun = time.monotonic()
    one.pay(1)
    one.kill()
    one.start()
    assert one.state(1) == "PENDING"
    assert one.decided(1) == "AUTHORISED"
    assert time.monotonic() - begun < 1.5 + 1.4, "the delay began anew"


def test_a_line_cut_short_is_cut_off(psp):
    one = psp(psp__success_percent=100)
    one.pay(1)
    one.decided(1)
    before = one.ledger()
    one.kill()
    with open(one.settings["psp.ledger"], "ab") as file:
        file.write(b'{"id":"1","sta')
    one.start()
    assert one.ledger() == before
    one.pay(2)
    one.decided(2)
    one.kill()
    one.start()
    assert one.ledger()["payments"] == 2


def test_a_ledger_that_is_none_is_refused(psp):
    one = psp()
    one.kill()
    pathlib.Path(one.settings["psp.ledger"]).write_text("this is no ledger\n")
    words = [word for key, value in one.settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run([PSP, *words], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and "line 1" in done.stderr


# ---- callbacks -----------------------------------------------------------------------------


def assert_signed(headers, body):
    timestamp = headers["X-Psp-Timestamp"]
    wanted = hmac.new(KEY.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Psp-Signature"] == wanted
    assert abs(int(timestamp) - time.time()) < 30


def pay_many(one, receiver, count):
    for number in range(1, count + 1):
        one.pay(number, callbackUrl=receiver.url)
    wait_until(lambda: one.ledger()["authorised"] + one.ledger()["declined"] == count, 10, 0.02, "all decisions")
    return {item["id"]: item["state"] for item in one.ledger()["items"]}


def test_callbacks_are_signed_and_true(psp, receiver):
    one = psp(psp__success_percent=50)
    states = pay_many(one, receiver, 20)
    told = receiver.await_count(20)
    for headers, body in receiver.got:
        assert_signed(headers, body)
    assert {event["paymentId"]: event["state"] for event in told} == states
    assert len({event["eventId"] for event in told}) == 20
    assert {event["amount"] for event in told} == {1000}
    assert set(told[0]) == {"eventId", "paymentId", "state", "amount"}


def test_a_callback_is_tried_again_until_it_is_taken(psp):
    receiver = Receiver(statuses=[503, 404])
    try:
        one = psp()
        one.pay(1, callbackUrl=receiver.url)
        told = receiver.await_count(3)
        assert told[0] == told[1] == told[2]
        for headers, body in receiver.got:
            assert_signed(headers, body)
        time.sleep(1.0)  # longer than the next pause would be
        assert len(receiver.got) == 3
    finally:
        receiver.close()


def test_doubled_callbacks(psp, receiver):
    one = psp(psp__duplicate_percent=100)
    pay_many(one, receiver, 5)
    told = receiver.await_count(10)
    for number in range(1, 6):
        same = [event for event in told if event["paymentId"] == str(number)]
        assert len(same) == 2 and same[0] == same[1]


def test_lying_callbacks_are_signed(psp, receiver):
    one = psp(psp__lie_percent=100)
    states = pay_many(one, receiver, 20)
    for event in receiver.await_count(20):
        assert {event["state"], states[event["paymentId"]]} == {"AUTHORISED", "DECLINED"}
    for headers, body in receiver.got:
        assert_signed(headers, body)


def test_lost_callbacks(psp, receiver):
    one = psp(psp__lost_percent=50, psp__seed=5)
    pay_many(one, receiver, 40)
    told = {event["paymentId"] for event in receiver.await_count(5)}
    time.sleep(0.5)
    assert 5 <= len(told) and len(receiver.got) < 40


def test_late_callbacks(psp, receiver):
    one = psp(psp__late_percent=100, psp__late_ms=700)
    begun = time.monotonic()
    pay_many(one, receiver, 1)
    receiver.await_count(1)
    assert time.monotonic() - begun >= 0.7


def test_reordered_callbacks(psp, receiver):
    one = psp(psp__reorder_percent=100, psp__late_ms=20000)
    for number in (1, 2):
        one.pay(number, callbackUrl=receiver.url)
        one.decided(number)
    assert [event["paymentId"] for event in receiver.await_count(2)] == ["2", "1"]


def test_metrics(psp):
    management = free_port()
    one = psp(process__management=f"127.0.0.1:{management}", psp__success_percent=100)
    one.pay(1)
    one.decided(1)
    one.call("POST", "/payments/1/capture")
    one.call("POST", "/payments/1/cancel")
    connection = http.client.HTTPConnection("127.0.0.1", management, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    for name in ("payments", "authorised", "captured", "cancelled"):
        assert f"\npsp_{name}_total 1\n" in text
