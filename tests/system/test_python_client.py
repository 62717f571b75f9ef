"""A foreign client: Python, pyzmq and msgpack, written from docs/reference/protocol.md alone. It shares no code with the
engine, so what it says and understands is what the protocol page promises."""

import struct
import time
import uuid

import msgpack
import pytest
import zmq

PERFORMANCE = 1

ENTER, PLACE_GET, LEAVE = 0x0101, 0x0102, 0x0103
HOLD, PAY, CANCEL, CANCEL_SEAT, RESERVATION_GET = 0x0201, 0x0202, 0x0203, 0x0204, 0x0205
PING, QUEUE_SET, HELLO, SHARD_MAP_GET = 0x0006, 0x0107, 0x0001, 0x0004

ABSENT, WAITING, ACTIVE = 0, 1, 2
HELD, CONFIRMED, CANCELLED, REFUNDED = 1, 4, 7, 8

REPLIES = {
    0x0003: ("ERROR", ["code", "retry_after_ms", "text"]),
    0x0005: ("SHARD_MAP", ["shards", "block_seats", "owners", "endpoints"]),
    0x0007: ("DONE", ["value"]),
    0x0104: ("PLACE", ["user_id", "state", "number", "position", "behind", "active", "refresh_after_ms", "grant",
                       "active_left_ms", "ticket", "pass"]),
    0x0206: ("RESERVATION", ["reservation_id", "user_id", "performance_id", "state", "seats", "amount",
                             "held_until_ms", "left_ms"]),
}
MALFORMED, UNKNOWN_TYPE, NOT_ALLOWED, BUSY, UNKNOWN, UNAVAILABLE = 1, 2, 4, 5, 6, 7
NO_SUCH_PERFORMANCE, NO_SUCH_SEAT, NO_SUCH_RESERVATION = 10, 11, 12
NOT_ADMITTED, NOT_OWNER, SEAT_HELD, SEAT_SOLD, WRONG_STATE, KEY_REUSED = 20, 21, 30, 31, 35, 40


class Client:
    """One DEALER. A request is [type, version, request id, route 0, key, fields...]; so is a reply."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        self.socket.send(data)

    def receive(self, timeout_ms=3000):
        """The next reply as (request id, name, fields); None when there is none."""
        if not self.socket.poll(timeout_ms):
            return None
        unpacker = msgpack.Unpacker(raw=False)
        unpacker.feed(self.socket.recv())
        kind, version, request_id, route, key, *fields = unpacker.unpack()
        name, names = REPLIES[kind]
        assert version == 1 and len(fields) >= len(names)
        return request_id, name, dict(zip(names, fields), key=key)

    def ask(self, kind, key, *fields, request_id=None, timeout_s=30):
        """Ask until there is an answer, always under the same request id, as the protocol wants it."""
        request_id = request_id or uuid.uuid4().bytes
        end = time.monotonic() + timeout_s
        data = msgpack.packb([kind, 1, request_id, 0, key, *fields])
        while time.monotonic() < end:
            self.send_bytes(data)
            reply = self.receive()
            while reply is not None and reply[0] != request_id:
                reply = self.receive()
            if reply is None:
                continue
            _, name, content = reply
            if name == "ERROR" and content["code"] in (BUSY, UNKNOWN, UNAVAILABLE):
                time.sleep(max(content["retry_after_ms"], 50) / 1000)
                continue
            return name, content
        raise AssertionError(f"no answer to {kind:#06x} within {timeout_s} s")

    def enter_and_wait(self, user):
        """Enter, and poll until active; the pass."""
        name, place = self.ask(ENTER, PERFORMANCE, user, b"")
        end = time.monotonic() + 30
        while place["state"] != ACTIVE:
            assert name == "PLACE" and time.monotonic() < end
            assert place["state"] == WAITING and place["position"] >= 1 and len(place["ticket"]) == 64
            time.sleep(min(place["refresh_after_ms"], 200) / 1000)
            name, place = self.ask(PLACE_GET, PERFORMANCE, user)
        assert place["user_id"] == user and place["grant"] > 0 and place["active_left_ms"] > 0
        return place["pass"]

    def hold(self, user, seats, pass_, request_id=None):
        return self.ask(HOLD, PERFORMANCE << 32 | seats[0], user, seats, pass_, request_id=request_id)


def expect(answer, name, **fields):
    assert answer[0] == name, answer
    for key, value in fields.items():
        assert answer[1][key] == value, answer
    return answer[1]


@pytest.fixture(scope="module")
def running():
    from conftest import running_engine

    with running_engine(seats=60, payment_ms=200, set={"psp.success_percent": 100}) as status:
        yield status


@pytest.fixture
def client(running):
    client = Client(running["endpoints"]["client"])
    yield client
    client.close()


def new_user(counter=iter(range(1000, 2000))):
    return next(counter)


def new_seat(counter=iter(range(1, 60))):
    return next(counter)


def test_a_sale_from_entering_to_the_ticket(client):
    user, seat = new_user(), new_seat()
    pass_ = client.enter_and_wait(user)
    held = expect(client.hold(user, [seat], pass_), "RESERVATION", state=HELD, user_id=user, seats=[seat],
                  performance_id=PERFORMANCE)
    assert held["amount"] > 0 and held["left_ms"] > 0 and held["held_until_ms"] > time.time() * 1000
    paid = expect(client.ask(PAY, held["reservation_id"], user, 1), "RESERVATION", state=CONFIRMED)
    assert paid["reservation_id"] == held["reservation_id"] and paid["left_ms"] == 0
    read = expect(client.ask(RESERVATION_GET, held["reservation_id"], user), "RESERVATION", state=CONFIRMED)
    assert read["seats"] == [seat] and read["amount"] == held["amount"]
    other = new_user()
    expect(client.hold(other, [seat], client.enter_and_wait(other)), "ERROR", code=SEAT_SOLD)


def test_entering_twice_is_the_same_place(client):
    user = new_user()
    _, first = client.ask(ENTER, PERFORMANCE, user, b"")
    _, again = client.ask(ENTER, PERFORMANCE, user, b"")
    _, restored = client.ask(ENTER, PERFORMANCE, user, first["ticket"])
    assert first["number"] == again["number"] == restored["number"] > 0
    expect(client.ask(LEAVE, PERFORMANCE, user, 0), "PLACE", state=ABSENT)
    expect(client.ask(PLACE_GET, PERFORMANCE, user), "PLACE", state=ABSENT)


def test_a_seat_wants_a_pass_of_its_own_user(client):
    user, other, seat = new_user(), new_user(), new_seat()
    pass_ = client.enter_and_wait(user)
    forged = bytes(pass_[:-1]) + bytes([pass_[-1] ^ 1])
    for user_id, shown in [(user, b""), (user, forged), (user, bytes(64)), (other, pass_)]:
        expect(client.hold(user_id, [seat], shown), "ERROR", code=NOT_ADMITTED)
    expect(client.hold(user, [seat], pass_), "RESERVATION", state=HELD)


def test_an_ended_pass_is_void(client):
    user, seat = new_user(), new_seat()
    pass_ = client.enter_and_wait(user)
    expect(client.ask(LEAVE, PERFORMANCE, user, 0), "PLACE", state=ABSENT)
    time.sleep(1)  # it is told to the arbiters; until then the pass may still be taken
    expect(client.hold(user, [seat], pass_), "ERROR", code=NOT_ADMITTED)


def test_the_same_request_id_is_one_effect_and_one_answer(client, running):
    user, seat = new_user(), new_seat()
    pass_ = client.enter_and_wait(user)
    request_id = uuid.uuid4().bytes
    first = expect(client.hold(user, [seat], pass_, request_id), "RESERVATION", state=HELD)
    again = expect(client.hold(user, [seat], pass_, request_id), "RESERVATION", state=HELD)
    assert first["reservation_id"] == again["reservation_id"]
    elsewhere = Client(running["endpoints"]["client"])
    also = expect(elsewhere.hold(user, [seat], pass_, request_id), "RESERVATION", state=HELD)
    elsewhere.close()
    assert also["reservation_id"] == first["reservation_id"]
    expect(client.hold(user, [seat], pass_), "ERROR", code=SEAT_HELD)  # another id is another request


def test_the_same_request_id_with_other_content_is_refused(client):
    user, seat = new_user(), 33  # 33 and 34 are of one block, so of one shard
    pass_ = client.enter_and_wait(user)
    request_id = uuid.uuid4().bytes
    expect(client.hold(user, [seat], pass_, request_id), "RESERVATION", state=HELD)
    expect(client.hold(user, [seat + 1], pass_, request_id), "ERROR", code=KEY_REUSED)


def test_seats_of_one_block_are_held_together_or_not_at_all(client):
    user, other = new_user(), new_user()
    pass_ = client.enter_and_wait(user)
    expect(client.hold(user, [40, 41, 42], pass_), "RESERVATION", state=HELD, seats=[40, 41, 42])
    others_pass = client.enter_and_wait(other)
    expect(client.hold(other, [43, 42], others_pass), "ERROR", code=SEAT_HELD)
    expect(client.hold(other, [43], others_pass), "RESERVATION", state=HELD)


def test_nobody_touches_anothers_reservation(client):
    user, stranger, seat = new_user(), new_user(), new_seat()
    held = expect(client.hold(user, [seat], client.enter_and_wait(user)), "RESERVATION", state=HELD)
    reservation = held["reservation_id"]
    expect(client.ask(CANCEL, reservation, stranger), "ERROR", code=NOT_OWNER)
    expect(client.ask(PAY, reservation, stranger, 0), "ERROR", code=NOT_OWNER)
    expect(client.ask(RESERVATION_GET, reservation, stranger), "ERROR", code=NOT_OWNER)
    expect(client.ask(CANCEL, reservation, user), "RESERVATION", state=CANCELLED)
    expect(client.ask(PAY, reservation, user, 0), "ERROR", code=WRONG_STATE)


def test_a_sold_seat_is_given_back(client):
    user, seat = new_user(), new_seat()
    held = expect(client.hold(user, [seat], client.enter_and_wait(user)), "RESERVATION", state=HELD)
    expect(client.ask(PAY, held["reservation_id"], user, 1), "RESERVATION", state=CONFIRMED)
    expect(client.ask(CANCEL, held["reservation_id"], user), "RESERVATION", state=REFUNDED)
    other = new_user()
    expect(client.hold(other, [seat], client.enter_and_wait(other)), "RESERVATION", state=HELD)


def test_what_does_not_exist_is_said_so(client):
    user = new_user()
    pass_ = client.enter_and_wait(user)
    expect(client.hold(user, [61], pass_), "ERROR", code=NO_SUCH_SEAT)
    expect(client.hold(user, [0], pass_), "ERROR", code=NO_SUCH_SEAT)
    expect(client.ask(ENTER, 4711, user, b""), "ERROR", code=NO_SUCH_PERFORMANCE)
    _, error = client.ask(HOLD, 4711 << 32 | 1, user, [1], pass_)
    assert error["code"] in (NO_SUCH_PERFORMANCE, NOT_ADMITTED)
    expect(client.ask(RESERVATION_GET, 5, user), "ERROR", code=NO_SUCH_RESERVATION)
    expect(client.ask(RESERVATION_GET, 1 << 40 | 0xFFFFFF, user), "ERROR", code=NO_SUCH_RESERVATION)


def test_operators_messages_are_not_taken_from_clients(client):
    expect(client.ask(QUEUE_SET, PERFORMANCE, 5, 5, 0), "ERROR", code=NOT_ALLOWED)
    expect(client.ask(HELLO, 0, 3, "evil", "", [0], [99]), "ERROR", code=NOT_ALLOWED)


def test_any_msgpack_width_is_understood(client):
    """The protocol takes any width of an integer and fields that a newer sender appends."""
    request_id = uuid.uuid4().bytes
    wide = b"\xdd\x00\x00\x00\x07" + b"".join([
        b"\xcf" + struct.pack(">Q", PING), b"\xcd" + struct.pack(">H", 1), b"\xc4\x10" + request_id, b"\xd3" + bytes(8),
        b"\xce" + bytes(4), b"\xcc\x00", msgpack.packb({"newer": [1, 2, "x"]}),
    ])
    client.send_bytes(wide)
    reply = client.receive()
    assert reply is not None and reply[0] == request_id and reply[1] == "DONE"


def packed(*items):
    return msgpack.packb(list(items))


SOME_ID = uuid.uuid4().bytes
BAD_BYTES = {
    "not msgpack": b"\xc1",
    "not an array": msgpack.packb(7),
    "an empty array": msgpack.packb([]),
    "cut short": packed(PING, 1, SOME_ID, 0, 0, 0)[:-3],
    "a count beyond the frame": b"\xdd\xff\xff\xff\xff\x06",
    "a length beyond the frame": b"\x96\x06\x01\xc6\xff\xff\xff\xff",
    "deeply nested": b"\x91" * 1000,
    "a request id of 15 bytes": packed(PING, 1, SOME_ID[:15], 0, 0, 0),
    "a field missing": packed(ENTER, 1, SOME_ID, 0, PERFORMANCE, 7),
    "a field of another kind": packed(ENTER, 1, SOME_ID, 0, PERFORMANCE, "seven", b""),
    "a negative number": packed(ENTER, 1, SOME_ID, 0, PERFORMANCE, -7, b""),
    "a field too long": packed(ENTER, 1, SOME_ID, 0, PERFORMANCE, 7, bytes(65)),
    "a list too long": packed(HOLD, 1, SOME_ID, 0, PERFORMANCE << 32 | 1, 7, list(range(1, 10)), b""),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_malformed_bytes_are_answered(client, name):
    client.send_bytes(BAD_BYTES[name])
    reply = client.receive()
    assert reply is not None, "silence"
    assert reply[1] == "ERROR" and reply[2]["code"] == MALFORMED, reply
    expect(client.ask(PING, 0, 0), "DONE")  # and it harmed nobody


def test_an_unknown_type_is_answered(client):
    expect(client.ask(0x7777, 0, 1, 2, 3), "ERROR", code=UNKNOWN_TYPE)
    expect(client.ask(PING, 0, 0), "DONE")


def test_a_frame_of_many_messages_gets_as_many_answers(client):
    ids = [uuid.uuid4().bytes for _ in range(100)]
    client.send_bytes(b"".join(packed(PING, 1, request_id, 0, 0, 0) for request_id in ids))
    answered = set()
    end = time.monotonic() + 10
    while len(answered) < 100 and time.monotonic() < end:
        if client.socket.poll(100):
            unpacker = msgpack.Unpacker(raw=False)
            unpacker.feed(client.socket.recv())
            answered |= {message[2] for message in unpacker}
    assert answered == set(ids)


def slot_of(performance, seat, block_seats):
    """xxh64, seed 0, of performance and block as two little-endian 32-bit integers, modulo 1024."""
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                          0x27D4EB2F165667C5)
    mask = (1 << 64) - 1

    def rotate(value, by):
        return (value << by | value >> (64 - by)) & mask

    lane = performance | (seat - 1) // block_seats << 32
    value = (p5 + 8) ^ rotate(lane * p2 & mask, 31) * p1 & mask
    value = (rotate(value, 27) * p1 + p4) & mask
    value = (value ^ value >> 33) * p2 & mask
    value = (value ^ value >> 29) * p3 & mask
    return (value ^ value >> 32) % 1024


def test_the_arbiters_are_reached_without_the_broker(client):
    _, shard_map = client.ask(SHARD_MAP_GET, 0, 0)
    assert shard_map["shards"] >= 1 and len(shard_map["owners"]) == shard_map["shards"]
    user, seat = new_user(), new_seat()
    owner = shard_map["owners"][slot_of(PERFORMANCE, seat, shard_map["block_seats"]) % shard_map["shards"]]
    endpoints = shard_map["endpoints"].split()
    assert owner < len(endpoints), "the seat's arbiter has no endpoint for clients"
    arbiter = Client(endpoints[owner])
    held = expect(arbiter.hold(user, [seat], client.enter_and_wait(user)), "RESERVATION", state=HELD)
    arbiter.close()
    expect(client.ask(RESERVATION_GET, held["reservation_id"], user), "RESERVATION", state=HELD)
