"""Users of API v1: plain HTTP with a user id taken on trust, each a thread; what each did and was told."""

import http.client
import json
import random
import threading
import time

TIMEOUT_S = 15


class V1:
    """The threads of one engine's v1 users; each writes its operations to the history under a lock."""

    def __init__(self, port, plan, seed, history):
        self.port, self.plan, self.seed = port, plan, seed
        self.history = open(history, "w")
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.user, args=(n,), daemon=True) for n in range(plan["v1_users"])]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=TIMEOUT_S + 5)
        self.history.close()

    def call(self, user, kind, method, path, body=None, seat=0):
        """One request; its text, or None when there was no answer that says anything."""
        begin, status, text = time.monotonic_ns(), 0, None
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            status, text = reply.status, reply.read().decode()
            connection.close()
        except (OSError, http.client.HTTPException):
            text = None
        outcome = "unknown"
        if text is not None and status < 500:
            outcome = "ok" if status == 200 else "fail"
        row = {
            "user": user,
            "kind": kind,
            "seat": seat,
            "begin": begin,
            "end": time.monotonic_ns(),
            "outcome": outcome,
            "status": status,
            "text": text,
        }
        with self.lock:
            if not self.history.closed:
                self.history.write(json.dumps(row, ensure_ascii=False) + "\n")
        return text if outcome != "unknown" else None

    def user(self, number):
        chance = random.Random(f"{self.seed}-{number}")
        life = 0
        while not self.stopping.is_set():
            life += 1
            self.one_life(chance, self.plan["first_v1_user"] + number * 100000 + life)

    def one_life(self, chance, user):
        text = self.call(user, "enter", "POST", f"/api/v1/queue/enter?userId={user}")
        while not self.stopping.is_set() and (text is None or '"READY"' not in text):
            self.stopping.wait(0.3)
            text = self.call(user, "status", "GET", f"/api/v1/queue/status?userId={user}")
        for _ in range(6):
            if self.stopping.is_set():
                return
            seat = chance.randint(1, self.plan["seats"])
            body = {"userId": user, "seatId": seat}
            text = self.call(user, "reserve", "POST", "/api/v1/reservations/reserve", body, seat)
            if text is not None and "SUCCESS" in text:
                self.stopping.wait(chance.uniform(0.2, 2))
                if chance.random() < 0.8:
                    self.call(user, "cancel", "POST", "/api/v1/reservations/cancel", body, seat)
                return
            if text is None or "queue/enter" in text:
                return
            self.stopping.wait(chance.uniform(0.05, 0.3))
