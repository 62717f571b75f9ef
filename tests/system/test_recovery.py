"""Each process is killed once in the middle of a sale; the sale goes on, and everything agrees afterwards.

These prove that the recovery paths exist. A load of real clients over HTTP plays while the fault happens.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
import redis

from conftest import TICKETCTL, pids, ticketctl, wait_until

SALE = dict(seats=30, max_active=40, rate=40, payment_ms=1500)
USERS = 150


def metric(status, role, name):
    """The value of one metric, summed over the processes of a role; 0 while one cannot be asked."""
    import urllib.request

    total = 0
    for process in status["processes"]:
        if process["role"] != role:
            continue
        try:
            with urllib.request.urlopen(process["management"] + "/metrics", timeout=2) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith(name + " "):
                        total += float(line.split()[1])
        except OSError:
            pass
    return total


class Sale:
    """`ticketctl load` in the background; result() waits for its end and its verdict."""

    def __init__(self, status, *arguments):
        self.directory = pathlib.Path(status["dir"])
        self.report = self.directory / "load.json"
        self.log = open(self.directory / "load.log", "w+")
        self.process = subprocess.Popen(
            [TICKETCTL, "load", "--dir", str(self.directory), "--scenario", "seed", "--users", str(USERS),
             "--seats", str(SALE["seats"]), "--speed", "5", "--timeout", "180", "--json", str(self.report),
             *arguments],
            stdout=self.log, stderr=subprocess.STDOUT,
        )

    def result(self):
        try:
            code = self.process.wait(timeout=240)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        self.log.seek(0)
        said = self.log.read()
        assert code == 0, f"load ended with {code}:\n{said[-6000:]}"
        return json.loads(self.report.read_text())


def await_midst(status):
    """Until the sale is well under way: some seats are sold, not all."""
    wait_until(lambda: metric(status, "seat-arbiter", "ticketlab_arbiter_confirmed_total") >= 3,
               timeout_s=60, what="the first sales")


def process_of(status, name):
    current = json.loads(ticketctl("status", "--dir", status["dir"], "-o", "json", check=False).stdout)
    return next(p for p in current["processes"] if p["name"] == name)


def kill_and_await_restart(status, name):
    before = process_of(status, name)
    os.kill(before["pid"], signal.SIGKILL)

    def is_back():
        now = process_of(status, name)
        return now["pid"] != before["pid"] and now["ready"]

    wait_until(is_back, timeout_s=30, what=f"the restart of {name}")


NAMES = ["broker", "admission", "seat-arbiter-1", "payment-timer", "persister", "kafka-bridge", "notifier",
         "gateway", "psp-sim", "redis", "mysql", "kafka"]


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_comes_back_and_the_sale_completes(engine, name):
    with engine(**SALE) as status:
        sale = Sale(status)
        await_midst(status)
        kill_and_await_restart(status, name)
        report = sale.result()
        assert report["sold"] == SALE["seats"]
        assert report["doubleSold"] == 0


def test_redis_wiped_and_killed_and_no_client_sees_an_error(engine):
    with engine(**SALE) as status:
        sale = Sale(status)
        await_midst(status)
        socket = status["endpoints"]["redis"].removeprefix("unix://")
        subprocess.run(["redis-cli", "-s", socket, "FLUSHALL"], check=True, capture_output=True)
        time.sleep(0.5)
        kill_and_await_restart(status, "redis")
        report = sale.result()
        assert report["sold"] == SALE["seats"]
        assert report["answers"].get("5xx", 0) == 0
        assert report["answers"].get("none", 0) == 0


def test_kafka_stopped_for_a_while_and_nothing_is_lost(engine):
    with engine(**SALE) as status:
        sale = Sale(status)
        await_midst(status)
        kafka = process_of(status, "kafka")["pid"]
        os.kill(kafka, signal.SIGSTOP)
        time.sleep(5)
        os.kill(kafka, signal.SIGCONT)
        report = sale.result()
        assert report["sold"] == SALE["seats"]


def leases(status):
    """Who has the lease of each shard; "-": it was let go."""
    path = status["endpoints"]["redis"].removeprefix("unix://")
    with contextlib.closing(redis.Redis(unix_socket_path=path, decode_responses=True)) as client:
        return client.mget([f"lease:{shard}" for shard in range(8)])


def await_each_has_its_own(status):
    own = [f"seat-arbiter-{shard % 2 + 1}" for shard in range(8)]
    wait_until(lambda: leases(status) == own, timeout_s=15, what="each arbiter with its own shards")


def epochs(status):
    said = subprocess.run(["mariadb", *mysql_arguments(status), "-N", "-e",
                           "SELECT epoch FROM ticket_db.shard_owner WHERE shard < 8 ORDER BY shard"],
                          check=True, capture_output=True, text=True)
    return said.stdout.split()


def test_an_arbiter_that_does_not_come_back_is_taken_over(engine):
    """SIGSTOP: the process lives, so it is not restarted; its shards must go to the other, and it must find itself
    fenced when it wakes."""
    with engine(**SALE) as status:
        sale = Sale(status)
        await_midst(status)
        stopped = process_of(status, "seat-arbiter-2")["pid"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            other = [p for p in status["processes"] if p["name"] == "seat-arbiter-1"]
            wait_until(lambda: metric({"processes": other}, "seat-arbiter", "ticketlab_arbiter_shards") == 8,
                       timeout_s=15, what="the takeover")
        finally:
            os.kill(stopped, signal.SIGCONT)
        await_each_has_its_own(status)
        report = sale.result()
        assert report["sold"] == SALE["seats"]
        assert report["doubleSold"] == 0


def test_who_hears_no_store_lets_its_shards_go_and_goes_on_with_what_it_knows(engine):
    with engine(**SALE) as status:
        await_each_has_its_own(status)
        before = epochs(status)
        stopped = process_of(status, "persister")["pid"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            wait_until(lambda: set(leases(status)) == {"-"}, timeout_s=15, what="the leases to be let go")
        finally:
            os.kill(stopped, signal.SIGCONT)
        await_each_has_its_own(status)
        report = Sale(status).result()
        assert report["sold"] == SALE["seats"]
        # Who noticed it last found nobody to take its shards: nothing had to be read again.
        after = epochs(status)
        assert before[0::2] == after[0::2] or before[1::2] == after[1::2], (before, after)


def test_restart_of_everything_keeps_the_sale(engine):
    """SEED fault 11: a restart made its 100 seats 200."""
    with engine(**SALE) as status:
        Sale(status).result()
        ticketctl("down", "--dir", status["dir"])
        assert not pids(status["dir"])
        ticketctl("up", "--dir", status["dir"], "--http-port", status["http_port"], "--seats", SALE["seats"])
        ticketctl("verify", "--dir", status["dir"])
        sold = subprocess.run(
            ["mariadb", *mysql_arguments(status), "-N", "-e",
             "SELECT COUNT(*), SUM(is_reserved) FROM ticket_db.seat"],
            check=True, capture_output=True, text=True).stdout.split()
        assert sold == [str(SALE["seats"]), str(SALE["seats"])]


def mysql_arguments(status):
    """mysql://user:password@host/database?socket=PATH -> arguments of the command line client."""
    from urllib.parse import parse_qs, urlsplit

    url = urlsplit(status["endpoints"]["mysql"])
    words = [f"--user={url.username}", f"--password={url.password}"]
    socket = parse_qs(url.query).get("socket")
    if socket:
        return words + [f"--socket={socket[0]}"]
    return words + [f"--host={url.hostname}", f"--port={url.port or 3306}", "--protocol=tcp"]
