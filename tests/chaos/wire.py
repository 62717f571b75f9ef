"""The protocol as docs/reference/protocol.md tells it, for clients of our own: it shares no code with the engine."""

import msgpack
import zmq

ENTER, PLACE_GET, LEAVE = 0x0101, 0x0102, 0x0103
HOLD, PAY, CANCEL, CANCEL_SEAT, RESERVATION_GET = 0x0201, 0x0202, 0x0203, 0x0204, 0x0205
SHARD_MAP_GET, QUEUE_GET, SNAPSHOT_GET = 0x0004, 0x0105, 0x0209
ERROR, SHARD_MAP, DONE, PLACE, QUEUE, RESERVATION = 0x0003, 0x0005, 0x0007, 0x0104, 0x0106, 0x0206
SEAT_ROW, SNAPSHOT = 0x020A, 0x020B

NAMES = {
    ENTER: "ENTER",
    PLACE_GET: "PLACE_GET",
    LEAVE: "LEAVE",
    HOLD: "HOLD",
    PAY: "PAY",
    CANCEL: "CANCEL",
    RESERVATION_GET: "RESERVATION_GET",
    SHARD_MAP_GET: "SHARD_MAP_GET",
}
FIELDS = {
    ERROR: ["code", "retry_after_ms", "text"],
    SHARD_MAP: ["shards", "block_seats", "owners", "endpoints"],
    DONE: ["value"],
    PLACE: [
        "user_id",
        "state",
        "number",
        "position",
        "behind",
        "active",
        "refresh_after_ms",
        "grant",
        "active_left_ms",
        "ticket",
        "pass",
    ],
    SEAT_ROW: ["state", "version", "price"],
    SNAPSHOT: ["shard", "epoch", "seq", "seats"],
    QUEUE: ["waiting", "active", "active_max", "rate", "paused", "entered", "serving", "active_peak"],
    RESERVATION: [
        "reservation_id",
        "user_id",
        "performance_id",
        "state",
        "seats",
        "amount",
        "held_until_ms",
        "left_ms",
    ],
}

ABSENT, WAITING, ACTIVE = 0, 1, 2
HELD, PAYING, CLOSING, CONFIRMED, FAILED, EXPIRED, CANCELLED, REFUNDED = range(1, 9)
LIVE = {HELD, PAYING, CLOSING, CONFIRMED}
BUSY, UNKNOWN, UNAVAILABLE, INTERNAL = 5, 6, 7, 50
UNDECIDED = {BUSY, UNKNOWN, UNAVAILABLE, INTERNAL}
NOT_ADMITTED, NOT_OWNER, SEAT_HELD, SEAT_SOLD, HOLD_EXPIRED, WRONG_STATE, KEY_REUSED = 20, 21, 30, 31, 34, 35, 40

PERFORMANCE = 1


def pack(kind, key, fields, request_id):
    return msgpack.packb([kind, 1, request_id, 0, key, *fields])


def unpack(frame):
    """The messages of a frame: (type, request id, {field: value})."""
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(frame)
    for kind, _version, request_id, _route, key, *fields in unpacker:
        yield kind, bytes(request_id), dict(zip(FIELDS.get(kind, []), fields), key=key)


def dealer(endpoint):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 1000)
    socket.connect(endpoint)
    return socket


def shard_map(endpoint, timeout_ms=500):
    """[address of the owner, or None] by shard; None: the broker did not answer."""
    socket = dealer(endpoint)
    try:
        socket.send(pack(SHARD_MAP_GET, 0, [0], b"chaos-shard-map!"))
        if not socket.poll(timeout_ms):
            return None
        for kind, _id, fields in unpack(socket.recv()):
            if kind == SHARD_MAP:
                endpoints = fields["endpoints"].split()
                return [endpoints[n] if n < len(endpoints) else None for n in fields["owners"]]
        return None
    finally:
        socket.close()
