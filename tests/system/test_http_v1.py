"""API v1 of the gateway, byte for byte, and a thousand payments at once through it."""

import asyncio
import json
import pathlib
import resource
import socket

import pytest
from conftest import pids, running_engine, ticketctl, wait_until
from http_world import Client, users
from test_v1_client import redis

QUICK = {"admission.interval_ms": 20}


@pytest.fixture(scope="module")
def shop():
    """Three are active at most; every payment succeeds, after 0.5 s."""
    with running_engine(seats=30, rate=1000, max_active=3, payment_ms=500, payment_success=100, set=QUICK) as status:
        yield Client(status)
        ticketctl("verify", "--dir", status["dir"])


@pytest.fixture(scope="module")
def declining():
    with running_engine(seats=4, rate=1000, payment_ms=100, payment_success=0, set=QUICK) as status:
        yield Client(status)
        ticketctl("verify", "--dir", status["dir"])


seat_numbers = iter(range(1, 31))


@pytest.fixture
def seat():
    return next(seat_numbers)


@pytest.fixture
def user(shop):
    """Somebody who is active, and leaves afterwards."""
    number = shop.v1_ready(next(users))
    yield number
    shop.v1("DELETE", "queue", number)


def text(answer):
    """What a script sees: status and body, and JSON said to be JSON."""
    assert answer.type == "application/json"
    return answer.status, answer.bytes.decode()


def result(success, message):
    return f'{{"success":{"true" if success else "false"},"message":"{message}","rank":null}}'


SOLD = (200, result(True, "SUCCESS: 예약이 확정되었습니다!"))
TAKEN = (409, result(False, "FAIL: 이미 판매가 완료된 좌석입니다."))
SOMEBODY_PAYS = (409, result(False, "FAIL: 현재 다른 사용자가 결제 진행 중입니다."))
DECLINED = (409, result(False, "FAIL: 결제가 실패하여 좌석 선점이 취소되었습니다."))
NO_SUCH_SEAT = (409, result(False, "ERROR: 존재하지 않는 좌석입니다."))
NOT_ACTIVE = (403, result(False, "대기열 진입이 필요합니다. /api/v1/queue/enter를 먼저 호출하세요."))
CANCELLED = (200, result(True, "SUCCESS: 취소가 완료되었습니다."))
NOTHING_TO_CANCEL = (200, result(True, "FAIL: 이미 취소되었습니다"))
CANCEL_FAILED = (200, result(True, "FAIL: 알 수 없는 에러가 발생했습니다."))


def reserve(client, user, seat):
    return text(client.v1("POST", "reservations/reserve", user, seat))


def cancel(client, user, seat):
    return text(client.v1("POST", "reservations/cancel", user, seat))


# ---- the queue ---------------------------------------------------------------------------------


def test_the_queue_speaks_as_it_always_did(shop):
    people = [next(users) for _ in range(5)]
    for number in people:
        assert shop.v1("POST", "queue/enter", number).status == 200
    wait_until(lambda: shop.v1("GET", "queue/status", people[2]).json["status"] == "READY", what="three of them")
    first, fifth = people[0], people[4]
    assert text(shop.v1("POST", "queue/enter", first)) == (200, (
        f'{{"userId":{first},"status":"READY","rank":null,"message":"입장 완료! 예약을 진행하세요."}}'))
    assert text(shop.v1("GET", "queue/status", first)) == (200, (
        f'{{"userId":{first},"status":"READY","rank":null,"message":"입장 완료! 예약이 가능합니다.","activeUserCount":3}}'))
    assert text(shop.v1("POST", "queue/enter", fifth)) == (200, (
        f'{{"userId":{fifth},"status":"WAITING","rank":2,"message":"현재 대기 중입니다. 순번: 2번"}}'))
    for _ in range(3):  # asking changes no rank
        assert text(shop.v1("GET", "queue/status", fifth)) == (200, (
            f'{{"userId":{fifth},"status":"WAITING","rank":2,"message":"현재 대기 중입니다. 순번: 2번","activeUserCount":3}}'))
    absent = next(users)
    assert shop.v1("GET", "queue/status", absent).json["rank"] == 3  # who asks has entered
    left = shop.v1("DELETE", "queue", first)
    assert (left.status, left.type, left.bytes.decode()) == (200, "text/plain", "대기열에서 나갔습니다.")
    wait_until(lambda: shop.v1("GET", "queue/status", people[3]).json["status"] == "READY", what="the fourth")
    for number in [*people, absent, next(users)]:  # whoever it is, and whether there or not
        gone = shop.v1("DELETE", "queue", number)
        assert (gone.status, gone.bytes.decode()) == (200, "대기열에서 나갔습니다.")


def test_user_ids_that_are_none(shop):
    for number in ("0", "-1", "x", "", "1.5", str(2**63)):
        for method, path in (("POST", "queue/enter"), ("GET", "queue/status"), ("DELETE", "queue")):
            answer = shop.v1(method, path, number)
            assert (answer.status, answer.code) == (400, "MALFORMED"), (method, path, number)
    largest = 2**63 - 1
    assert str(largest) in shop.v1("POST", "queue/enter", largest).bytes.decode()
    shop.v1("DELETE", "queue", largest)


# ---- reserve and cancel --------------------------------------------------------------------------


def test_a_sale_and_a_refund(shop, user, seat):
    assert cancel(shop, user, seat) == NOTHING_TO_CANCEL
    assert reserve(shop, user, seat) == SOLD
    assert redis(shop.status, "GET", f"state:seat:{seat}") == "CONFIRMED"
    assert reserve(shop, user, seat) == NOT_ACTIVE  # SUCCESS ended it
    assert shop.v1("POST", "queue/enter", user).status == 200
    shop.v1_ready(user)
    assert reserve(shop, user, seat) == TAKEN
    assert shop.v1("GET", "queue/status", user).json["status"] == "READY"  # a plain refusal did not
    assert cancel(shop, next(users), seat) == NOTHING_TO_CANCEL  # who is not the owner
    assert cancel(shop, user, seat) == CANCELLED
    assert cancel(shop, user, seat) == NOTHING_TO_CANCEL
    wait_until(lambda: redis(shop.status, "EXISTS", f"state:seat:{seat}") == "0", what="the seat")
    assert reserve(shop, user, seat) == SOLD


def test_who_is_no_longer_active_is_absent_from_the_active_set(shop, user, seat):
    assert redis(shop.status, "GET", f"ticket:active:users:{user}") == "activated"
    assert reserve(shop, user, seat) == SOLD
    wait_until(lambda: redis(shop.status, "EXISTS", f"ticket:active:users:{user}") == "0", what="the end of the key")


def test_somebody_is_paying(shop, user, seat):
    other = shop.v1_ready(next(users))

    async def both():
        paying = asyncio.get_running_loop().run_in_executor(None, reserve, shop, user, seat)
        while redis(shop.status, "GET", f"state:seat:{seat}") != "SELECTED":
            await asyncio.sleep(0.01)
        second = reserve(shop, other, seat)
        return second, await paying

    second, first = asyncio.run(both())
    assert (first, second) == (SOLD, SOMEBODY_PAYS)
    assert shop.v1("GET", "queue/status", other).json["status"] == "READY"
    shop.v1("DELETE", "queue", other)


def test_who_goes_away_gives_the_seat_back(shop, user, seat):
    body = json.dumps({"userId": user, "seatId": seat}).encode()
    with socket.create_connection(("127.0.0.1", shop.port)) as impatient:
        impatient.sendall(b"POST /api/v1/reservations/reserve HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_until(lambda: redis(shop.status, "GET", f"state:seat:{seat}") == "SELECTED", every_s=0.01, what="the hold")
    wait_until(lambda: redis(shop.status, "EXISTS", f"state:seat:{seat}") == "0", timeout_s=5, what="the seat")
    assert shop.v1("GET", "queue/status", user).json["status"] == "WAITING"  # a payment that failed
    other = shop.v1_ready(next(users))
    assert reserve(shop, other, seat) == SOLD


def test_seats_that_are_not_there(shop):
    for seat in (31, 0, -1, 2**32 + 1, 2**63 - 1):
        user = shop.v1_ready(next(users))
        assert reserve(shop, user, seat) == NO_SUCH_SEAT, seat
        assert reserve(shop, user, 1) == NOT_ACTIVE  # an ERROR: ended it
    assert cancel(shop, next(users), 31) == CANCEL_FAILED


def test_who_never_entered_is_sent_to_the_queue(shop, seat):
    assert reserve(shop, next(users), seat) == NOT_ACTIVE
    waiting = [next(users) for _ in range(4)]
    for number in waiting:
        shop.v1("POST", "queue/enter", number)
    wait_until(lambda: shop.v1("GET", "queue/status", waiting[2]).json["status"] == "READY", what="three of them")
    assert reserve(shop, waiting[3], seat) == NOT_ACTIVE
    assert shop.v1("GET", "queue/status", waiting[3]).json["rank"] == 1  # still in the line
    for number in waiting:
        shop.v1("DELETE", "queue", number)


def test_a_declined_payment_ends_being_active_and_frees_the_seat(declining):
    for _ in range(2):
        user = declining.v1_ready(next(users))
        assert reserve(declining, user, 2) == DECLINED
        assert reserve(declining, user, 2) == NOT_ACTIVE
        assert redis(declining.status, "GET", "state:seat:2") == ""


def test_bodies_that_are_no_bodies(shop):
    for raw in ("", "{", "[]", "{}", '{"userId":1}', '{"userId":"1","seatId":1}', '{"userId":0,"seatId":1}',
                '{"userId":1.5,"seatId":1}', '{"userId":1,"seatId":null}'):
        for path in ("reserve", "cancel"):
            answer = shop.call("POST", f"/api/v1/reservations/{path}", raw=raw)
            assert (answer.status, answer.code) == (400, "MALFORMED"), (path, raw)
    wrong = shop.call("GET", "/api/v1/reservations/reserve")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST, OPTIONS")


# ---- a thousand payments -------------------------------------------------------------------------


CROWD = 1000


@pytest.fixture
def descriptors():
    """Enough of them for CROWD connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CROWD
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def figures(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Threads"]), int(fields["VmRSS"].split()[0]) // 1024


async def ask(port, method, path, body=""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer.split("\r\n\r\n", 1)[1]


async def enter_all(port):
    waiting = list(range(1, CROWD + 1))
    while waiting:
        for start in range(0, len(waiting), 100):
            some = waiting[start : start + 100]
            await asyncio.gather(*[ask(port, "GET", f"/api/v1/queue/status?userId={user}") for user in some])
        answers = await asyncio.gather(*[ask(port, "GET", f"/api/v1/queue/status?userId={user}") for user in waiting[-50:]])
        if all('"READY"' in body for _, body in answers):
            waiting = []


async def storm(port, pid):
    """All reserve at once; the gateway's figures are read all the while."""
    seen = []
    paying = asyncio.gather(*[
        ask(port, "POST", "/api/v1/reservations/reserve", json.dumps({"userId": number, "seatId": number}))
        for number in range(1, CROWD + 1)])
    while not paying.done():
        seen.append(figures(pid))
        await asyncio.sleep(0.05)
    return await paying, seen


def test_a_thousand_payments_in_flight_cost_no_thread(engine, descriptors):
    """In the original a thread slept through each payment, so its pool was its capacity."""
    settings = {"admission.interval_ms": 50}
    with engine(seats=CROWD, max_active=CROWD, rate=100000, payment_ms=3000, payment_success=100,
                set=settings) as status:
        (pid,) = pids(status["dir"], "gateway")
        asyncio.run(enter_all(status["http_port"]))
        threads, megabytes = figures(pid)
        answers, seen = asyncio.run(storm(status["http_port"], pid))
        assert {answer for answer in answers} == {SOLD}
        assert max(found for found, _ in seen) == threads
        assert max(found for _, found in seen) <= megabytes + 32
        assert len(seen) > 20  # it was watched while they paid
        assert figures(pid)[0] == threads
        ticketctl("verify", "--dir", status["dir"])
