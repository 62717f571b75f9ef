"""Clients of bad manners: they ask and do not read, read a byte at a time, begin a request and do not end it, come and
say nothing. Bounded in number and in time; the others must not notice.

Each is a function (engine, chance) -> what ends it. `all_at_once` is the drill, with nothing else broken.
"""

import contextlib
import random
import socket
import threading
import time
from urllib.parse import urlsplit

import zmq

import wire

DEAF_FRAMES = 6000  # asked for by one that never reads; the broker keeps 256 frames for it
HALVES = 150  # connections
DEAF_STREAMS = 40
DEAF_MAPS = 40
SILENT = 60
DRIPPERS = 8


def connection(engine, little=False):
    one = socket.socket()
    if little:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(2)
    one.connect(("127.0.0.1", engine.http_port))
    return one


def ends(sockets):
    def end():
        for one in sockets:
            one.close()

    return end


def some(count, make):
    """As many of them as can be had: the gateway may be gone just now."""
    made = []
    with contextlib.suppress(OSError):
        for number in range(count):
            made.append(make(number))
    return made


# ---- ZeroMQ


def deaf(engine, chance):
    """Ask for the seats of every shard, again and again, and never read one answer."""
    context = zmq.Context()
    sockets = []
    for _ in range(3):
        one = context.socket(zmq.DEALER)
        one.linger, one.rcvhwm, one.rcvbuf, one.sndhwm = 0, 1, 4096, DEAF_FRAMES
        one.connect(engine.endpoints["client"])
        sockets.append(one)
    shards = int(engine.settings.get("cluster.shards", 8))
    for number in range(DEAF_FRAMES):
        for one in sockets:
            with contextlib.suppress(zmq.Again):
                one.send(wire.pack(wire.SNAPSHOT_GET, number % shards, [0], chance.randbytes(16)), zmq.DONTWAIT)
    return lambda: context.destroy(linger=0)


def dumb(engine, chance):
    """Connections to the broker that say nothing, or what is not ZeroMQ's, or the half of its greeting."""
    address = urlsplit(engine.endpoints["client"])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16)

    def make(number):
        one = socket.create_connection((address.hostname, address.port), timeout=2)
        one.sendall([b"", greeting[: chance.randint(1, 20)], chance.randbytes(40)][number % 3])
        return one

    return ends(some(SILENT, make))


# ---- HTTP


def halves(engine, chance):
    """Nothing at all, or the half of a request."""
    whole = (
        b"POST /api/v2/performances/1/tickets HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        b"Content-Length: 40\r\n\r\n{"
    )

    def make(_number):
        one = connection(engine)
        one.sendall(whole[: chance.choice([0, 0, 3, chance.randint(1, len(whole)), len(whole)])])
        return one

    return ends(some(HALVES, make))


def deaf_maps(engine, _chance):
    """Ask for the map many times on one connection, and never read."""

    def make(_number):
        one = connection(engine, little=True)
        one.sendall(b"GET /api/v2/performances/1/seats HTTP/1.1\r\nHost: here\r\n\r\n" * 60)
        return one

    return ends(some(DEAF_MAPS, make))


def deaf_streams(engine, _chance):
    """Streams of seats that nobody reads."""

    def make(_number):
        one = connection(engine, little=True)
        one.sendall(b"GET /api/v2/performances/1/stream HTTP/1.1\r\nHost: here\r\n\r\n")
        return one

    return ends(some(DEAF_STREAMS, make))


def drip(engine, chance):
    """Requests written and answers read a byte at a time."""
    over = threading.Event()

    def one_life(number):
        with contextlib.suppress(OSError), connection(engine, little=True) as one:
            user = 900000000 + number
            text = f"GET /api/v1/queue/status?userId={user} HTTP/1.1\r\nHost: here\r\n\r\n".encode()
            for byte in text * 3:
                if over.wait(0.01):
                    return
                one.sendall(bytes([byte]))
            while not over.wait(0.01) and one.recv(1):
                pass

    threads = [
        threading.Thread(target=one_life, args=(chance.randrange(1 << 20),), daemon=True) for _ in range(DRIPPERS)
    ]
    for thread in threads:
        thread.start()
    return over.set


KINDS = [deaf, dumb, halves, deaf_maps, deaf_streams, drip]


def refused_frames(engine):
    """How many frames the broker kept for nobody: clients that do not read have met its bound."""
    return engine.metric("broker", "ticketlab_frames_refused_total")


def begin(engine, chance, kinds):
    """Some kinds at once; what ends them all."""
    all_ends = []
    for kind in kinds:
        with contextlib.suppress(OSError, zmq.ZMQError):
            all_ends.append(kind(engine, chance))

    def end():
        for one in all_ends:
            one()

    return end


def drill(world, seconds=5):
    """All kinds at once, and nothing else broken; how long it lasted, in ns, for the auditor."""
    world.drilling = True
    before, begun = refused_frames(world.engine), time.monotonic_ns()
    end = begin(world.engine, random.Random(world.chance.random()), KINDS)
    world.say(f"slow clients: {', '.join(kind.__name__.replace('_', ' ') for kind in KINDS)}, all at once")
    world.rest(seconds)
    after = refused_frames(world.engine)
    end()
    if before is not None and after is not None:
        world.say(f"slow clients have gone; the broker let go {after - before:.0f} frames that they did not read")
    world.drilling = False
    return begun, time.monotonic_ns()
