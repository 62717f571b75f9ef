"""Shell and curl buy every seat by API v1, knowing nothing but its five routes."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import urllib.error
import urllib.request

from conftest import pids, ticketctl, wait_until

CLIENT = pathlib.Path(__file__).with_name("v1_client.sh")
USERS, SEATS = 60, 12


def prometheus(port):
    """The metrics that v1's shell scripts grep for, from the address at which they look."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/actuator/prometheus", timeout=10) as answer:
        return answer.read().decode()


def test_shell_clients_buy_each_seat_once(engine):
    with engine(seats=SEATS, payment_ms=300) as status:
        done = subprocess.run(
            [CLIENT, f"http://127.0.0.1:{status['http_port']}", str(USERS), "20", str(SEATS), "0.2"],
            capture_output=True, text=True, timeout=300,
        )
        words = done.stdout.split()
        totals = dict(zip(words[::2], map(int, words[1::2])))
        assert totals["success"] == SEATS, done.stdout + done.stderr
        assert totals["without"] == USERS - SEATS
        assert totals["early"] == 0
        assert totals["errors"] == 0 and done.returncode == 0
        lines = prometheus(status["http_port"]).splitlines()
        sold = [line for line in lines if line.startswith("reservation_success_total")]
        failed = [line for line in lines if line.startswith("reservation_failed_total")]
        assert len(sold) == 1 and float(sold[0].split()[1]) == SEATS
        assert len(failed) == 1 and float(failed[0].split()[1]) >= totals["declined"]


def reserve(url, user, seat):
    request = urllib.request.Request(
        f"{url}/api/v1/reservations/reserve", method="POST", headers={"Content-Type": "application/json"},
        data=json.dumps({"userId": user, "seatId": seat}).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def become_active(url, user):
    def is_ready():
        with urllib.request.urlopen(f"{url}/api/v1/queue/status?userId={user}", timeout=10) as answer:
            return json.load(answer)["status"] == "READY"

    wait_until(is_ready, what="admission")


def test_who_asks_again_for_the_same_seat_goes_on_with_the_same_payment(engine):
    """v1 has no idempotency key: a user who lost the answer, or whose gateway died, asks once more. The hold that the
    dead gateway left behind would else keep everybody out for its whole time."""
    with engine(seats=4, payment_ms=1500, set={"psp.success_percent": 100}) as status:
        url = status["endpoints"]["http"]
        become_active(url, 1)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: reserve(url, 1, 3), range(2)))
        assert [code for code, _ in answers] == [200, 200], answers
        become_active(url, 2)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            lost = pool.submit(lambda: reserve(url, 2, 4))
            wait_until(lambda: "SELECTED" == redis(status, "GET", "state:seat:4"), what="the hold")
            gateway = pids(status["dir"], "gateway")
            os.kill(gateway[0], signal.SIGKILL)
            assert lost.exception(timeout=60) is not None
        wait_until(lambda: pids(status["dir"], "gateway") not in ([], gateway), what="the next gateway")
        wait_until(lambda: answers_at(url), what="its port")
        code, answer = reserve(url, 2, 4)
        assert code == 200 and "SUCCESS" in answer["message"], answer
        with urllib.request.urlopen(f"{status['endpoints']['psp']}/ledger", timeout=10) as ledger:
            assert json.load(ledger)["payments"] == 2
        ticketctl("verify", "--dir", status["dir"])


def answers_at(url):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{url}/actuator/health", timeout=2).status == 200


def redis(status, *words):
    socket = status["endpoints"]["redis"].removeprefix("unix://")
    return subprocess.run(["redis-cli", "-s", socket, *words], check=True, capture_output=True,
                          text=True).stdout.strip()
