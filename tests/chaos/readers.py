"""The readers: they look at the seats all through the run, in every way that there is, and keep what they were shown.

`broker` and `direct` ask the owner of a shard by SNAPSHOT_GET, through the broker and straight; `map` and `since` ask
the gateway's seat map, whole and what changed; `stream` follows its server-sent events. One line a reading: who, when
it was asked for and answered, and each seat's state and version. Times are CLOCK_MONOTONIC in nanoseconds.
"""

import http.client
import itertools
import json
import random
import threading
import time

import zmq

import wire

ANSWER_S = 1.5  # a snapshot that has not come by then is asked for anew, under another id
HTTP_S = 6
PAUSE_S = {"broker": 0.05, "direct": 0.05, "map": 0.15, "since": 0.15}
STREAM_S = 20  # then the map is read again, and another stream begun
STATES = ["FREE", "HELD", "PAYING", "CLOSING", "CONFIRMED", "BLOCKED"]


class Readers:
    """The threads of one engine's readers; `stop` is set when it is over."""

    def __init__(self, endpoint, port, shards, seed, history):
        self.endpoint, self.port, self.shards, self.seed = endpoint, port, shards, seed
        self.history = open(history, "w")
        self.lock = threading.Lock()
        self.stop = threading.Event()
        works = [self.snapshots, self.snapshots, self.directly, self.maps, self.maps, self.since, self.streams]
        self.threads = [threading.Thread(target=self.life, args=(n, work)) for n, work in enumerate(works)]

    def life(self, number, work):
        chance = random.Random(f"{self.seed}-reader-{number}")
        while not self.stop.is_set():
            try:
                work(number, chance)
            except (OSError, http.client.HTTPException, ValueError, zmq.ZMQError):
                self.stop.wait(0.2)  # nobody there: come again

    def keep(self, **row):
        line = json.dumps(row, separators=(",", ":"))
        with self.lock:
            self.history.write(line + "\n")

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        self.history.close()

    # ---- the owners themselves

    def snapshot(self, reader, kind, socket, shard):
        """One question; False if it was not answered with a whole snapshot."""
        rid, rows, begin = random.randbytes(16), {}, time.monotonic_ns()
        socket.send(wire.pack(wire.SNAPSHOT_GET, shard, [0], rid), zmq.DONTWAIT)
        end = time.monotonic() + ANSWER_S
        while (left := end - time.monotonic()) > 0:
            if not socket.poll(left * 1000):
                break
            for what, its, fields in wire.unpack(socket.recv()):
                if its != rid:
                    continue
                if what == wire.ERROR:
                    self.stop.wait(max(fields["retry_after_ms"], 50) / 1000)
                    return False
                if what == wire.SEAT_ROW:
                    rows[fields["key"] & 0xFFFFFFFF] = (fields["state"], fields["version"])
                elif what == wire.SNAPSHOT:
                    if fields["seats"] != len(rows):
                        return False
                    seats = [[seat, *row] for seat, row in rows.items()]
                    self.keep(r=reader, kind=kind, begin=begin, end=time.monotonic_ns(), shard=shard,
                              epoch=fields["epoch"], seq=fields["seq"], seats=seats)
                    return True
        return False

    def snapshots(self, reader, _chance):
        socket = wire.dealer(self.endpoint)
        try:
            for shard in itertools.cycle(range(self.shards)):
                if self.stop.wait(PAUSE_S["broker"]):
                    return
                self.snapshot(reader, "broker", socket, shard)
        finally:
            socket.close()

    def directly(self, reader, _chance):
        """By the map as it was when it was asked for: until a shard's owner there does not answer."""
        sockets = {}
        try:
            owners = wire.shard_map(self.endpoint) or []
            for owner in {owner for owner in owners if owner}:
                sockets[owner] = wire.dealer(owner)
            for _ in range(20):
                for shard, owner in enumerate(owners):
                    if self.stop.wait(PAUSE_S["direct"]):
                        return
                    if owner and not self.snapshot(reader, "direct", sockets[owner], shard):
                        return
        finally:
            for socket in sockets.values():
                socket.close()

    # ---- the gateway

    def get(self, connection, path, **headers):
        """(status, headers, JSON or None)"""
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        return reply.status, reply.headers, json.loads(body) if reply.status == 200 else None

    def map_once(self, reader, kind, connection, since=None):
        """The map's version, or None."""
        begin = time.monotonic_ns()
        path = f"/api/v2/performances/{wire.PERFORMANCE}/seats"
        status, headers, page = self.get(connection, path if since is None else f"{path}?since={since}")
        if page is None:
            self.stop.wait(0.3)
            return None
        seats = [[row["seat"], STATES.index(row["state"]), row["version"]] for row in page["seats"]]
        self.keep(r=reader, kind=kind, begin=begin, end=time.monotonic_ns(), version=page["version"],
                  since=page.get("since"), age=int(headers["Age"]), seats=seats)
        return page["version"]

    def maps(self, reader, _chance):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HTTP_S)
        try:
            while not self.stop.wait(PAUSE_S["map"]):
                self.map_once(reader, "map", connection)
        finally:
            connection.close()

    def since(self, reader, chance):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HTTP_S)
        try:
            version = self.map_once(reader, "since", connection)
            while version is not None and not self.stop.wait(PAUSE_S["since"] * chance.uniform(0.5, 3)):
                version = self.map_once(reader, "since", connection, since=version)
        finally:
            connection.close()

    def streams(self, reader, _chance):
        """The map, and from its version on the stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HTTP_S)
        try:
            version = self.map_once(reader, "stream-map", connection)
            if version is None:
                return
            connection.request("GET", f"/api/v2/performances/{wire.PERFORMANCE}/stream?since={version}")
            reply = connection.getresponse()
            if reply.status != 200:
                self.stop.wait(0.3)
                return
            self.follow(reader, reply)
        finally:
            now = time.monotonic_ns()
            self.keep(r=reader, kind="stream-end", begin=now, end=now)
            connection.close()

    def follow(self, reader, reply):
        end, name = time.monotonic() + STREAM_S, ""
        while not self.stop.is_set() and time.monotonic() < end:
            line = reply.readline()
            if not line:
                return
            word, _, rest = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = rest
            elif word == "data" and name == "reset":
                return
            elif word == "data":
                page, now = json.loads(rest), time.monotonic_ns()
                seats = [[row["seat"], STATES.index(row["state"]), row["version"]] for row in page.get("seats", [])]
                self.keep(r=reader, kind="stream", begin=now, end=now, version=page["version"], first=name == "ready",
                          seats=seats)


def play(endpoint, port, shards, seed, history, stop_event):
    """The body of the readers' process."""
    readers = Readers(endpoint, port, shards, seed, history)

    def watch():
        stop_event.wait()
        readers.stop.set()

    threading.Thread(target=watch, daemon=True).start()
    readers.run()
