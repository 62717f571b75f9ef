"""The gateway's API v2 against real processes, every answer held against the OpenAPI document."""

import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import time
import urllib.request

import pytest
from conftest import running_engine, ticketctl, wait_until
from http_world import DOCUMENT, PERFORMANCE, Client, users

QUICK = {"admission.interval_ms": 20}
PRICE = 50000


@pytest.fixture(scope="module")
def shop():
    """Everybody is admitted at once and every payment succeeds, after 0.3 s."""
    options = dict(seats=96, rate=1000, max_active=200, payment_ms=300, payment_success=100)
    with running_engine(**options, set=QUICK) as status:
        yield Client(status)
        ticketctl("verify", "--dir", status["dir"])


@pytest.fixture(scope="module")
def strict():
    """Two are active at most, a hold lasts 1.5 s, a payment takes 2.5 s and is declined; there is no v1."""
    settings = {**QUICK, "arbiter.hold_ttl_ms": 1500, "gateway.request_timeout_ms": 1000, "gateway.v1": "false",
                "gateway.body_max": 512}
    with running_engine(seats=32, rate=1000, max_active=2, payment_ms=2500, payment_success=0, set=settings) as status:
        yield Client(status)
        ticketctl("verify", "--dir", status["dir"])


seat_numbers = iter(range(1, 97))


@pytest.fixture
def seat():
    """A seat of the shop that no test has used."""
    return next(seat_numbers)


# ---- tickets -----------------------------------------------------------------------------------


def test_entering_gives_a_signed_ticket_and_a_place(shop):
    user = next(users)
    first = shop.enter(user)
    assert first.status == 202 and first.json["userId"] == user and first.json["ticket"]
    assert first.headers["location"] == f"{PERFORMANCE}/tickets/me"
    assert first.json["refreshAfterMs"] > 0
    again = shop.enter(user)
    assert again.json["number"] == first.json["number"]
    me = shop.call("GET", first.headers["location"], ticket=first.json["ticket"])
    assert me.status == 200 and me.json["number"] == first.json["number"] and me.json["userId"] == user
    assert me.headers["cache-control"] == "no-store"


def test_who_names_no_user_is_given_one(shop):
    one, two = (shop.call("POST", f"{PERFORMANCE}/tickets") for _ in range(2))
    assert one.status == two.status == 202
    assert 0 < one.json["userId"] != two.json["userId"]


def test_leaving_ends_a_place(shop):
    ticket = shop.admitted()
    assert shop.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204
    gone = shop.call("GET", f"{PERFORMANCE}/tickets/me", ticket=ticket)
    assert (gone.status, gone.code) == (404, "NO_SUCH_PLACE")
    assert shop.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204


def test_a_ticket_that_is_not_ours_is_refused(shop):
    ticket = shop.admitted()
    none = shop.call("GET", f"{PERFORMANCE}/tickets/me")
    assert (none.status, none.code, none.headers["www-authenticate"]) == (401, "TICKET_MISSING", "Bearer")
    forged = ticket[:20] + ("A" if ticket[20] != "A" else "B") + ticket[21:]
    for wrong in (forged, ticket[:-4], "", "x" * 300, "안녕".encode().decode("latin-1")):
        answer = shop.call("GET", f"{PERFORMANCE}/tickets/me", ticket=wrong)
        assert (answer.status, answer.code) == (403, "BAD_TICKET"), wrong
    other = shop.call("GET", "/api/v2/performances/2/tickets/me", ticket=ticket)
    assert (other.status, other.code) == (403, "BAD_TICKET")
    mine = shop.enter(next(users), ticket=ticket)  # somebody else's ticket
    assert (mine.status, mine.code) == (403, "BAD_TICKET")


def test_a_line_has_positions_and_moves_up(strict):
    tickets = [strict.enter().json["ticket"] for _ in range(5)]

    def places():
        return [strict.call("GET", f"{PERFORMANCE}/tickets/me", ticket=ticket).json for ticket in tickets]

    wait_until(lambda: [place["state"] for place in places()] == ["ACTIVE"] * 2 + ["WAITING"] * 3, what="the two")
    seen = places()
    assert [place["position"] for place in seen] == [0, 0, 1, 2, 3]
    assert [place["behind"] for place in seen[2:]] == [2, 1, 0]
    assert [place["activeLeftMs"] > 0 for place in seen] == [True, True, False, False, False]
    assert all(place["active"] == 2 and place["refreshAfterMs"] > 0 for place in seen)
    numbers = [place["number"] for place in seen]
    assert numbers == sorted(set(numbers))
    queue = strict.call("GET", f"{PERFORMANCE}/queue").json
    assert (queue["waiting"], queue["active"], queue["activeMax"], queue["rate"], queue["paused"]) == (3, 2, 2, 1000, False)
    assert queue["entered"] - queue["serving"] == 3
    early = strict.hold(tickets[4], 1)
    assert (early.status, early.code) == (403, "NOT_ADMITTED")
    for at, ticket in enumerate(tickets):
        assert strict.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204
        if at == 0:
            wait_until(lambda: places_of(strict, tickets[2:]) == [("ACTIVE", 0), ("WAITING", 1), ("WAITING", 2)])


def places_of(client, tickets):
    answers = [client.call("GET", f"{PERFORMANCE}/tickets/me", ticket=ticket).json for ticket in tickets]
    return [(place["state"], place["position"]) for place in answers]


# ---- reservations ------------------------------------------------------------------------------


def test_a_hold_is_answered_once_and_for_all(shop, seat):
    ticket = shop.admitted()
    before = datetime.datetime.now(datetime.timezone.utc)
    held = shop.hold(ticket, seat, key="my hold")
    assert held.status == 201 and held.json["state"] == "HELD" and held.json["seats"] == [seat]
    assert held.json["amount"] == PRICE
    assert held.headers["location"] == f"/api/v2/reservations/{held.json['reservationId']}"
    until = datetime.datetime.fromisoformat(held.json["heldUntil"].replace("Z", "+00:00"))
    assert 290 < (until - before).total_seconds() < 310
    assert 290_000 < held.json["leftMs"] <= 300_000
    again = shop.hold(ticket, seat, key="my hold")
    assert again.status == 201
    assert without_clock(again.json) == without_clock(held.json)
    got = shop.call("GET", held.headers["location"], ticket=ticket)
    assert got.status == 200 and without_clock(got.json) == without_clock(held.json)
    other = shop.hold(ticket, next(seat_numbers), key="my hold")
    assert (other.status, other.code) == (422, "KEY_REUSED")


def without_clock(reservation):
    return {key: value for key, value in reservation.items() if key != "leftMs"}


def test_an_idempotency_key_is_required(shop, seat):
    ticket = shop.admitted()
    path = f"{PERFORMANCE}/reservations"
    missing = shop.call("POST", path, {"seats": [seat]}, ticket=ticket)
    assert (missing.status, missing.code) == (400, "KEY_MISSING")
    for key in ("", "k" * 129):
        wrong = shop.call("POST", path, {"seats": [seat]}, ticket=ticket, Idempotency_Key=key)
        assert wrong.status == 400, key
    assert shop.hold(ticket, seat, key="k" * 128).status == 201


def test_the_same_key_of_two_users_is_two_keys(shop):
    for _ in range(2):
        assert shop.hold(shop.admitted(), next(seat_numbers), key="one").status == 201


def test_several_seats_are_all_or_none(shop):
    one, two = shop.admitted(), shop.admitted()
    free, mine = [next(seat_numbers) for _ in range(3)], next(seat_numbers)
    while (free[0] - 1) // 32 != mine // 32:  # at the edge of a block
        free, mine = free[1:] + [mine], next(seat_numbers)
    assert shop.hold(one, mine).status == 201
    mixed = shop.hold(two, *free, mine)
    assert (mixed.status, mixed.code) == (409, "SEAT_HELD")
    states = {row["seat"]: row["state"] for row in shop.seats().json["seats"]}
    assert [states[seat] for seat in free] == ["FREE"] * 3
    both = shop.hold(two, *free)
    assert both.status == 201 and sorted(both.json["seats"]) == free and both.json["amount"] == 3 * PRICE
    apart = shop.hold(two, 1, 96)
    assert (apart.status, apart.code) == (422, "NOT_ONE_BLOCK")
    paid = shop.pay(two, both.json["reservationId"], wait=True)
    assert paid.status == 200 and paid.json["state"] == "CONFIRMED"


def test_a_seat_that_is_held_or_sold_or_not_there(shop, seat):
    one, two = shop.admitted(), shop.admitted()
    held = shop.hold(one, seat)
    korean = shop.hold(two, seat, Accept_Language="ko-KR,ko;q=0.9,en;q=0.8")
    english = shop.hold(two, seat, Accept_Language="en-US")
    assert korean.status == english.status == 409
    assert korean.json["type"] == english.json["type"] == "/problems/seat-held"
    assert korean.json["title"] == "다른 사용자가 결제 진행 중입니다"
    assert english.json["title"] == "Somebody else is paying for this seat"
    assert (korean.headers["content-language"], english.headers["content-language"]) == ("ko", "en")
    assert shop.pay(one, held.json["reservationId"], wait=True).json["state"] == "CONFIRMED"
    sold = shop.hold(two, seat)
    assert (sold.status, sold.code, sold.json["type"]) == (409, "SEAT_SOLD", "/problems/seat-sold")
    missing = shop.hold(two, 97)
    assert (missing.status, missing.code) == (404, "NO_SUCH_SEAT")


def test_seats_that_are_no_seats_are_malformed(shop):
    ticket = shop.admitted()
    for body in ({}, {"seats": []}, {"seats": [1] * 2}, {"seats": list(range(1, 10))}, {"seats": ["1"]},
                 {"seats": [0]}, {"seats": [-1]}, {"seats": [1.5]}, {"seats": 1}, {"seats": [2**32]}):
        answer = shop.call("POST", f"{PERFORMANCE}/reservations", body, ticket=ticket, key="key")
        assert (answer.status, answer.code) == (400, "MALFORMED"), body


def test_only_its_owner_sees_pays_and_cancels_a_reservation(shop, seat):
    one, two = shop.admitted(), shop.admitted()
    number = shop.hold(one, seat).json["reservationId"]
    for answer in (shop.reservation(two, number), shop.cancel(two, number), shop.pay(two, number)):
        assert (answer.status, answer.code) == (403, "NOT_OWNER")
    assert shop.reservation(None, number).status == 401
    cancelled = shop.cancel(one, number)
    assert cancelled.status == 200 and cancelled.json["state"] == "CANCELLED" and cancelled.json["heldUntil"] is None
    assert shop.hold(two, seat).status == 201
    nothing = shop.reservation(one, 2**40)
    assert (nothing.status, nothing.code) == (404, "NO_SUCH_RESERVATION")


def test_paying_is_an_intent_and_a_decision(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    begun = shop.pay(ticket, number, key="money")
    assert begun.status == 202 and begun.json["state"] == "PAYING"
    shop.reservation_becomes(ticket, number, "CONFIRMED")
    again = shop.pay(ticket, number, key="money", wait=True)
    assert again.status == 200 and again.json["state"] == "CONFIRMED" and again.json["heldUntil"] is None
    other = shop.pay(ticket, 2**40, key="money")
    assert (other.status, other.code) == (422, "KEY_REUSED")
    keyless = shop.call("POST", f"/api/v2/reservations/{number}/payments", ticket=ticket)
    assert (keyless.status, keyless.code) == (400, "KEY_MISSING")


def test_who_has_paid_makes_room(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number, wait=True).status == 200

    def is_gone():
        return shop.call("GET", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 404

    wait_until(is_gone, timeout_s=5, what="the room")
    assert shop.hold(ticket, next(seat_numbers)).code == "NOT_ADMITTED"


def test_a_sold_seat_that_is_cancelled_is_refunded(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    shop.pay(ticket, number, wait=True)
    assert shop.cancel(ticket, number).json["state"] == "REFUNDED"
    again = shop.cancel(ticket, number)
    assert again.status == 200 and again.json["state"] == "REFUNDED", again
    wait_until(lambda: psp_state(shop, number) == "REFUNDED", what="the refund")
    assert shop.hold(shop.admitted(), seat).status == 201


def test_a_payment_that_is_cancelled_in_its_middle_is_closed_first(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number).status == 202
    closing = shop.cancel(ticket, number)
    assert closing.status in (200, 202)
    if closing.status == 202:
        assert closing.json["state"] == "CLOSING"
    shop.reservation_becomes(ticket, number, "EXPIRED")
    again = shop.cancel(ticket, number)
    assert again.status == 200 and again.json["state"] == "EXPIRED", again
    assert psp_state(shop, number) == "CANCELLED"


def psp_state(client, payment):
    try:
        with urllib.request.urlopen(f"{client.status['endpoints']['psp']}/payments/{payment}", timeout=10) as answer:
            return json.load(answer)["state"]
    except urllib.error.HTTPError:
        return None


def test_a_hold_runs_out(strict):
    ticket = strict.admitted()
    number = strict.hold(ticket, 5).json["reservationId"]
    strict.reservation_becomes(ticket, number, "EXPIRED")
    late = strict.pay(ticket, number)
    assert (late.status, late.code) == (410, "HOLD_EXPIRED")
    assert strict.hold(ticket, 5).status == 201
    assert strict.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204


def test_a_declined_payment_frees_the_seat(strict):
    ticket = strict.admitted()
    number = strict.hold(ticket, 6).json["reservationId"]
    paid = strict.pay(ticket, number, wait=True)
    assert paid.status == 200 and paid.json["state"] == "FAILED"
    assert strict.hold(ticket, 6).status == 201
    assert strict.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204


# ---- callbacks ---------------------------------------------------------------------------------


def test_callbacks_that_are_not_the_payment_gateways(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    unsigned = shop.call("POST", "/api/v2/payments/callbacks", {"eventId": "1", "paymentId": str(number),
                                                               "state": "AUTHORISED", "amount": PRICE})
    assert (unsigned.status, unsigned.code) == (401, "BAD_SIGNATURE")
    refused = [shop.callback(number, key="another key"), shop.callback(number, at=time.time() - 301),
               shop.callback(number, at=time.time() + 305), shop.callback(number, X_Psp_Signature="0" * 64),
               shop.callback(number, X_Psp_Signature="zz"), shop.callback(number, X_Psp_Timestamp="now")]
    assert [(answer.status, answer.code) for answer in refused] == [(401, "BAD_SIGNATURE")] * 6
    assert shop.reservation(ticket, number).json["state"] == "HELD"


def test_callbacks_that_cannot_be_read(shop):
    assert shop.signed("{").status == 400
    assert shop.signed("[]").status == 400
    good = {"eventId": "1", "paymentId": "1", "state": "AUTHORISED", "amount": 1}
    for key, value in (("eventId", None), ("paymentId", "x"), ("state", "PAID"), ("amount", -1), ("amount", "1")):
        answer = shop.signed(json.dumps({**good, key: value}))
        assert (answer.status, answer.code) == (400, "MALFORMED"), (key, value)
    assert shop.signed(json.dumps(good), Content_Type="text/plain").status == 415
    nobody = shop.callback(2**40)
    assert (nobody.status, nobody.code) == (404, "NO_SUCH_RESERVATION")


def test_a_callback_of_another_amount_is_refused(shop, seat):
    ticket = shop.admitted()
    number = shop.hold(ticket, seat).json["reservationId"]
    assert shop.pay(ticket, number).status == 202
    wrong = shop.callback(number, amount=PRICE - 1)
    assert (wrong.status, wrong.code) == (422, "AMOUNT_MISMATCH")
    shop.reservation_becomes(ticket, number, "CONFIRMED")
    assert [shop.callback(number).status for _ in range(3)] == [204] * 3  # doubled: one effect
    assert psp_state(shop, number) in ("AUTHORISED", "CAPTURED")


def test_a_lying_callback_never_sells(strict):
    """Signed by the payment gateway's own key, of the right amount, and untrue."""
    ticket = strict.admitted()
    number = strict.hold(ticket, 7).json["reservationId"]
    strict.callback(number, "CAPTURED")  # before there is a payment
    assert strict.reservation(ticket, number).json["state"] == "HELD"
    assert strict.pay(ticket, number).status == 202
    lie = strict.callback(number, "CAPTURED")  # the arbiter has the payment gateway asked, and waits for its decision
    assert (lie.status, lie.code) == (503, "UNKNOWN")
    assert strict.reservation(ticket, number).json["state"] == "PAYING"
    strict.reservation_becomes(ticket, number, "FAILED")
    for state in ("AUTHORISED", "CAPTURED"):
        assert strict.callback(number, state).status == 204  # decided: nothing to say any more
        assert strict.reservation(ticket, number).json["state"] == "FAILED"
    assert strict.call("DELETE", f"{PERFORMANCE}/tickets/me", ticket=ticket).status == 204


# ---- seats -------------------------------------------------------------------------------------


def test_the_seat_map_and_its_changes(shop, seat):
    whole = settled(shop)
    assert len(whole.json["seats"]) == 96 and "since" not in whole.json
    assert whole.json["seats"][0].keys() == {"seat", "state", "price", "version"}
    same = shop.seats(If_None_Match=whole.headers["etag"])
    assert same.status == 304 and same.headers["etag"] == whole.headers["etag"]
    assert shop.seats(If_None_Match=f'"x", W/{whole.headers["etag"]}').status == 304
    ticket = shop.admitted()
    assert shop.hold(ticket, seat).status == 201
    wait_until(lambda: shop.seats().json["version"] > whole.json["version"], what="the change")
    changed = shop.call("GET", f"{PERFORMANCE}/seats?since={whole.json['version']}")
    assert changed.json["since"] == whole.json["version"] and changed.headers["etag"] != whole.headers["etag"]
    assert [(row["seat"], row["state"]) for row in changed.json["seats"]] == [(seat, "HELD")]
    assert shop.seats(If_None_Match=whole.headers["etag"]).status == 200
    foreign = shop.call("GET", f"{PERFORMANCE}/seats?since=1")  # of another life of the gateway
    assert len(foreign.json["seats"]) == 96 and "since" not in foreign.json
    assert shop.call("GET", f"{PERFORMANCE}/seats?since=x").code == "MALFORMED"
    counts = shop.call("GET", PERFORMANCE).json
    assert counts["seats"] == 96 == sum(counts["counts"].values()) and counts["counts"]["HELD"] >= 1


def settled(shop):
    """The seat map when nothing moves in it any more."""
    def twice():
        one = shop.seats()
        time.sleep(0.3)
        return one if shop.seats().json["version"] == one.json["version"] else None

    return wait_until(twice, what="quiet")


@contextlib.contextmanager
def stream(client, since=None):
    """next_event() -> (id, event, data)"""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    try:
        connection.request("GET", f"{PERFORMANCE}/stream", headers={} if since is None else {"Last-Event-ID": str(since)})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("Content-Type") == "text/event-stream"

        def next_event():
            fields = {}
            while True:
                line = answer.fp.readline() if not answer.chunked else answer.readline()
                assert line, "the stream has ended"
                line = line.decode().rstrip("\n")
                if line == "" and fields:
                    return int(fields["id"]), fields["event"], json.loads(fields["data"])
                if ": " in line and not line.startswith(":"):
                    name, value = line.split(": ", 1)
                    fields[name] = value

        yield next_event
    finally:
        connection.close()


def test_a_stream_resumes_where_it_was(shop, seat):
    settled(shop)
    ticket = shop.admitted()
    with stream(shop) as next_event:
        last, kind, data = next_event()
        assert kind == "ready" and data["version"] == last
        number = shop.hold(ticket, seat).json["reservationId"]
        last, kind, data = next_event()
        assert kind == "seats" and data["version"] == last
        assert [(row["seat"], row["state"]) for row in data["seats"]] == [(seat, "HELD")]
    shop.cancel(ticket, number)
    wait_until(lambda: state_of(shop, seat) == "FREE", what="the cancel")
    wait_until(lambda: told(shop) == shop.seats().json["version"], what="what streams are told")
    with stream(shop, since=last) as next_event:
        resumed, kind, _ = next_event()
        assert kind == "ready" and resumed > last
        missed, kind, data = next_event()
        assert kind == "seats" and missed == resumed
        assert [(row["seat"], row["state"]) for row in data["seats"]] == [(seat, "FREE")]
    for stale in (1, "nonsense"):
        with stream(shop, since=stale) as next_event:
            now, kind, _ = next_event()
            assert kind == "reset" and now >= resumed


def told(client):
    """The version up to which streams have been told; some moments behind the seat map."""
    with stream(client) as next_event:
        return next_event()[0]


def state_of(client, seat):
    return next(row["state"] for row in client.seats().json["seats"] if row["seat"] == seat)


# ---- what is wrong with a request ----------------------------------------------------------------


def test_bodies_that_are_no_bodies(shop, strict):
    ticket = shop.admitted()
    path = f"{PERFORMANCE}/reservations"
    for raw in ("{", "[1]", "1", "", '{"seats":[1],"seats":[2]}', "\x00", '{"seats":[1]} x'):
        answer = shop.call("POST", path, raw=raw, ticket=ticket, key="key")
        assert (answer.status, answer.code) == (400, "MALFORMED"), raw
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        answer = shop.call("POST", path, raw='{"seats":[1]}', ticket=ticket, key="key", Content_Type=kind)
        assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA"), kind
    utf8 = shop.call("POST", path, raw='{"seats":[]}', ticket=ticket, key="key", Content_Type="Application/JSON; charset=utf-8")
    assert utf8.status == 400
    for size in (513, 100_000):
        large = strict.call("POST", f"{PERFORMANCE}/tickets", raw=" " * size)
        assert (large.status, large.code) == (413, "TOO_LARGE"), size
        korean = strict.call("POST", f"{PERFORMANCE}/tickets", raw=" " * size, Accept_Language="ko")
        assert korean.json["title"] == "요청이 너무 큽니다"
    assert strict.call("POST", f"{PERFORMANCE}/tickets", raw=" " * 512).status == 400


def test_addresses_that_are_none(shop):
    for path in ("/nothing", "/api/v2", "/api/v2/performances/x/seats", "/api/v2/performances/0/seats",
                 "/api/v2/performances/-1/seats", "/api/v2/reservations/99999999999999999999", "/api/v2/performances/1/seats/"):
        answer = shop.call("GET", path)
        assert (answer.status, answer.code) == (404, "NOT_FOUND"), path
    for path in ("/api/v2/performances/2/seats", "/api/v2/performances/2", "/api/v2/performances/2/stream",
                 "/api/v2/performances/2/queue", "/api/v2/performances/4294967296/seats"):
        answer = shop.call("GET", path)
        assert (answer.status, answer.code) == (404, "NO_SUCH_PERFORMANCE"), path


def test_methods_that_are_not_allowed(shop):
    answer = shop.call("PUT", f"{PERFORMANCE}/tickets/me")
    assert (answer.status, answer.code, answer.headers["allow"]) == (
        405, "METHOD_NOT_ALLOWED", "GET, HEAD, DELETE, OPTIONS")
    assert shop.call("GET", "/api/v2/payments/callbacks").headers["allow"] == "POST, OPTIONS"
    options = shop.call("OPTIONS", f"{PERFORMANCE}/seats")
    assert options.status == 204 and options.headers["allow"] == "GET, HEAD, OPTIONS"
    head, got = shop.call("HEAD", f"{PERFORMANCE}/seats"), shop.seats()
    assert head.status == 200 and head.bytes == b"" and head.headers["content-length"] == str(len(got.bytes))


def test_the_document_that_is_served_is_the_document(shop):
    assert shop.call("GET", "/openapi.yaml").bytes == DOCUMENT.read_bytes()
    assert shop.call("GET", "/actuator/health").json == {"status": "UP"}
    assert b"ticketlab_http_requests_total" in shop.call("GET", "/actuator/prometheus").bytes
    assert shop.call("GET", "/").type == "text/html"


def test_a_server_that_does_not_answer_is_unknown_for_a_while(strict):
    process = next(p for p in strict.status["processes"] if p["name"] == "admission")
    os.kill(process["pid"], signal.SIGSTOP)
    try:
        answer = strict.enter()
    finally:
        os.kill(process["pid"], signal.SIGCONT)
    assert answer.status == 503 and answer.code in ("UNKNOWN", "UNAVAILABLE") and answer.json["retryAfterMs"] >= 1

    def place():
        return strict.enter().status == 202

    wait_until(place, what="admission")


def test_half_a_request_harms_nobody(shop):
    """Clients that send the half of a request, or nothing, and wait."""
    with contextlib.ExitStack() as stack:
        for text in (b"", b"POST ", b"GET / HTTP/1.1\r\nHost: x\r\n",
                     b"POST /api/v2/performances/1/tickets HTTP/1.1\r\nContent-Length: 20\r\n\r\n{") * 8:
            half = stack.enter_context(socket.create_connection(("127.0.0.1", shop.port)))
            half.sendall(text)
        assert shop.enter().status == 202
    assert shop.enter().status == 202


# ---- v1 that is off ------------------------------------------------------------------------------


def test_v1_is_not_there_unless_switched_on(strict):
    answers = [strict.v1("POST", "queue/enter", 1), strict.v1("GET", "queue/status", 1), strict.v1("DELETE", "queue", 1),
               strict.v1("POST", "reservations/reserve", 1, 1), strict.v1("POST", "reservations/cancel", 1, 1)]
    assert [(answer.status, answer.code) for answer in answers] == [(404, "NOT_FOUND")] * 5
