"""Memory, descriptors and queues stay bounded, whatever clients do (I20).

Three rounds of bad manners. The first, with clients that never read, shows the most that a process takes. What it still
holds afterwards is the allocator's: freed pages between others. So what the third round adds to the second is a leak.
In the middle of each a well-mannered client must be served.
"""

import contextlib
import os
import pathlib
import random
import socket
import time

import msgpack
import pytest
import zmq
from conftest import pids, running_engine, wait_until
from test_python_client import ACTIVE, CANCEL, CANCELLED, ENTER, HELD, HOLD, LEAVE, PERFORMANCE, PING, PLACE_GET
from test_python_client import Client, expect

SEATS, CLIENTS, WAVE = 2000, 3000, 500
ROLES = ["broker", "admission", "seat-arbiter", "gateway"]
SNAPSHOT_GET = 0x0209
MIB = 1 << 20
MAX_GROWTH_MIB = 96  # of one process, at its worst
LEAK_MIB = 8  # that a third round may add to a second
DESCRIPTORS_KEPT = 8


def held(directory):
    """role -> (resident memory in bytes, descriptors), of all its processes together"""
    figures = {}
    for role in ROLES:
        sizes = [int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids(directory, role)]
        descriptors = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids(directory, role)]
        figures[role] = sum(sizes) * os.sysconf("SC_PAGE_SIZE"), sum(descriptors)
    return figures


@pytest.fixture(scope="module")
def running():
    settings = {"admission.interval_ms": 20, "admission.active_ttl_ms": 5000, "arbiter.holds_max": 1000000}
    with running_engine(seats=SEATS, max_active=1000, rate=1000000, set=settings) as status:
        yield status


def dealer(context, endpoint, **options):
    one = context.socket(zmq.DEALER)
    one.linger = 0
    for name, value in options.items():
        setattr(one, name, value)
    one.connect(endpoint)
    return one


def request(kind, key, *fields):
    return msgpack.packb([kind, 1, random.randbytes(16), 0, key, *fields])


def new_user(counter=iter(range(1 << 32, 1 << 40))):
    return next(counter)


# ---- bad manners ---------------------------------------------------------------------------


def come_and_go(status):
    """Thousands of clients: every second one goes without waiting for its answers. The users are the same each time:
    who has entered is remembered, as it must be."""
    endpoint = status["endpoints"]["client"]
    for first in range(1, CLIENTS, WAVE):
        context = zmq.Context()
        clients = [dealer(context, endpoint) for _ in range(WAVE)]
        for number, client in enumerate(clients):
            client.send(request(PING, 0, 0))
            client.send(request(ENTER, PERFORMANCE, first + number, b""))
        for client in clients[::2]:
            assert client.poll(10000), "a client among many has no answer"
        context.destroy(linger=0)


def slow_readers(status):
    """Clients that ask for long answers and never read one."""
    context = zmq.Context()
    readers = [dealer(context, status["endpoints"]["client"], rcvhwm=1, rcvbuf=4096) for _ in range(4)]
    for number in range(8000):
        for reader in readers:
            with contextlib.suppress(zmq.Again):
                reader.send(request(SNAPSHOT_GET, number % 8, 0), zmq.DONTWAIT)
    time.sleep(1)
    return lambda: context.destroy(linger=0)


def malformed(status):
    """Bytes that are no message, and bytes that are not even ZeroMQ's."""
    host, port = status["endpoints"]["client"].removeprefix("tcp://").split(":")
    chance = random.Random(1)
    with contextlib.closing(Client(status["endpoints"]["client"])) as client:
        for _ in range(10000):
            client.send_bytes(chance.randbytes(chance.randrange(200)))
    for _ in range(300):
        with socket.create_connection((host, int(port)), timeout=5) as raw, contextlib.suppress(OSError):
            raw.sendall(chance.randbytes(100))


def half_open(status):
    """Connections whose request never ends."""
    sockets = [socket.create_connection(("127.0.0.1", status["http_port"]), timeout=10) for _ in range(800)]
    for number, one in enumerate(sockets):
        one.sendall(b"POST /api/v2/performances/1/tickets HTTP/1.1\r\nHost: here\r\nContent-Le"[: 5 + number % 60])
    return lambda: [one.close() for one in sockets]


def deaf_streams(status):
    """Streams of seats that nobody reads."""
    sockets = []
    for _ in range(100):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", status["http_port"]))
        one.sendall(b"GET /api/v2/performances/1/stream HTTP/1.1\r\nHost: here\r\n\r\n")
        sockets.append(one)
    return lambda: [one.close() for one in sockets]


def well_mannered(status, seats):
    """Holds and lets go of each seat; it is served whatever the others do."""
    with contextlib.closing(Client(status["endpoints"]["client"])) as client:
        user = new_user()
        _, place = client.ask(ENTER, PERFORMANCE, user, b"")
        while place["state"] != ACTIVE:
            time.sleep(0.02)
            _, place = client.ask(PLACE_GET, PERFORMANCE, user)
        for seat in seats:
            key = PERFORMANCE << 32 | seat
            got = expect(client.ask(HOLD, key, user, [seat], place["pass"]), "RESERVATION", state=HELD)
            expect(client.ask(CANCEL, got["reservation_id"], user), "RESERVATION", state=CANCELLED)
        client.ask(LEAVE, PERFORMANCE, user, 0)


def a_round(status, seats, peaks, slow):
    """All of it, one on top of the other; `peaks` keeps the most that each role had."""

    def note():
        for role, (size, _) in held(status["dir"]).items():
            peaks[role] = max(peaks.get(role, 0), size)

    ends = [half_open(status), deaf_streams(status)]
    come_and_go(status)
    note()
    if slow:
        ends.append(slow_readers(status))
        note()
    malformed(status)
    well_mannered(status, seats)
    note()
    for end in ends:
        end()


def settled(status, before):
    """The figures once the descriptors are those from before: so all who went have been let go."""

    def down():
        now = held(status["dir"])
        return all(now[role][1] <= before[role][1] + DESCRIPTORS_KEPT for role in ROLES) and now

    return wait_until(down, 15, 0.1, "as many descriptors as before")


def test_bad_manners_leave_nothing_behind(running):
    well_mannered(running, range(1, 50))
    before, peaks, after = held(running["dir"]), {}, []
    for number in (1, 2, 3):
        a_round(running, range(50 * number, 50 * number + 50), peaks, slow=number == 1)
        after.append(settled(running, before))
    for role in ROLES:
        figures = [f"{size / MIB:.1f} MiB, {descriptors} fds" for size, descriptors in
                   (before[role], *(each[role] for each in after))]
        print(f"{role}: {'; '.join(figures)}; at most {peaks[role] / MIB:.1f} MiB")
    for role in ROLES:
        assert peaks[role] - before[role][0] <= MAX_GROWTH_MIB * MIB, f"{role} grew to {peaks[role] // MIB} MiB"
        assert after[2][role][0] - after[1][role][0] <= LEAK_MIB * MIB, f"{role} grows with each round"
