"""One effect and one answer, however often and whenever something is asked: at once, again, and after crashes."""

import concurrent.futures
import json
import os
import signal
import urllib.request

import pytest
from conftest import running_engine, ticketctl, wait_until
from http_world import Client
from test_http_v2 import PRICE, QUICK, psp_state, without_clock
from test_recovery import kill_and_await_restart, process_of

TIMES = 16


@pytest.fixture(scope="module")
def shop():
    with running_engine(seats=64, rate=1000, payment_ms=500, payment_success=100, set=QUICK) as status:
        yield Client(status)
        ticketctl("verify", "--dir", status["dir"])


seat_numbers = iter(range(1, 65))


@pytest.fixture
def seat():
    return next(seat_numbers)


def at_once(call):
    with concurrent.futures.ThreadPoolExecutor(TIMES) as pool:
        return list(pool.map(lambda _: call(), range(TIMES)))


def kill(client, *names):
    for name in names:
        kill_and_await_restart(client.status, name)
    wait_until(lambda: answers(client), what="the gateway")


def answers(client):
    try:
        return client.call("GET", "/api/v2/performances/1/seats").status == 200
    except OSError:
        return False


def payments(client):
    with urllib.request.urlopen(f"{client.status['endpoints']['psp']}/ledger", timeout=10) as answer:
        return json.load(answer)["payments"]


def test_a_hold_asked_for_many_times_at_once_is_one(shop, seat):
    ticket = shop.admitted()
    held = at_once(lambda: shop.hold(ticket, seat, key="at once"))
    assert [answer.status for answer in held] == [201] * TIMES, held
    assert len({answer.json["reservationId"] for answer in held}) == 1


def test_a_seat_wanted_by_many_at_once_is_ones(shop, seat):
    tickets = [shop.admitted() for _ in range(TIMES)]
    with concurrent.futures.ThreadPoolExecutor(TIMES) as pool:
        held = list(pool.map(lambda ticket: shop.hold(ticket, seat), tickets))
    assert sorted(answer.status for answer in held) == [201] + [409] * (TIMES - 1)
    assert {answer.code for answer in held if answer.status == 409} == {"SEAT_HELD"}


def test_a_payment_asked_for_many_times_at_once_is_one(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    before = payments(shop)
    paid = at_once(lambda: shop.pay(ticket, number, key="at once", wait=True))
    assert [(answer.status, answer.json["state"]) for answer in paid] == [(200, "CONFIRMED")] * TIMES, paid
    assert payments(shop) == before + 1


def test_a_second_payment_of_a_reservation_is_refused(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    paid = at_once(lambda: shop.pay(ticket, number, wait=True))  # each with a key of its own
    assert sorted(answer.status for answer in paid) == [200] + [409] * (TIMES - 1)
    assert {answer.code for answer in paid if answer.status == 409} == {"WRONG_STATE"}


def test_a_sold_seat_given_back_many_times_at_once_is_refunded_once(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number, wait=True).status == 200
    ended = at_once(lambda: shop.cancel(ticket, number))
    assert [(answer.status, answer.json["state"]) for answer in ended] == [(200, "REFUNDED")] * TIMES, ended
    wait_until(lambda: psp_state(shop, number) == "REFUNDED", what="the refund")


def test_callbacks_at_once_are_one(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number).status == 202
    said = at_once(lambda: shop.callback(number, amount=PRICE))
    assert {answer.status for answer in said} <= {204, 503}
    shop.reservation_becomes(ticket, number, "CONFIRMED")
    assert shop.callback(number, amount=PRICE).status == 204


@pytest.mark.parametrize("names", [["gateway"], ["seat-arbiter-1", "seat-arbiter-2"], ["persister"], ["mysql"]],
                         ids=lambda names: names[0])
def test_an_answer_outlives_who_gave_it(shop, seat, names):
    ticket, key = shop.admitted(), f"before {names[0]}"
    other = next(seat_numbers)
    held = shop.hold(ticket, seat, key=key)
    number = held.json["reservationId"]
    kill(shop, *names)
    again = wait_until(lambda: known(shop.hold(ticket, seat, key=key)), what="an answer")
    assert again.status == 201 and without_clock(again.json) == without_clock(held.json), again
    paid = shop.pay(ticket, number, key=key + " pay", wait=True)
    assert paid.status == 200 and paid.json["state"] == "CONFIRMED", paid
    before = payments(shop)
    kill(shop, *names)
    again = wait_until(lambda: known(shop.pay(ticket, number, key=key + " pay", wait=True)), what="an answer")
    assert again.status == 200 and again.json["state"] == "CONFIRMED", again
    assert payments(shop) == before
    if (seat - 1) // 32 == (other - 1) // 32:
        reused = shop.hold(ticket, other, key=key)
        assert (reused.status, reused.code) == (422, "KEY_REUSED"), reused


def known(answer):
    return None if answer.status == 503 else answer


def test_a_payment_outlives_every_process_in_its_way(shop, seat):
    """The intent is committed: whatever is killed, the payment is made, once."""
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number).status == 202
    for name in ("gateway", "payment-timer", "seat-arbiter-1", "seat-arbiter-2", "psp-sim", "persister"):
        os.kill(process_of(shop.status, name)["pid"], signal.SIGKILL)
    wait_until(lambda: answers(shop), what="the gateway")
    wait_until(lambda: state(shop, ticket, number) == "CONFIRMED", what="the sale")
    wait_until(lambda: psp_state(shop, number) == "CAPTURED", what="the money")


def state(client, ticket, number):
    answer = client.reservation(ticket, number)
    return answer.json["state"] if answer.status == 200 else None
