"""Shell and curl buy every seat by API v1, knowing nothing but its five routes."""

import pathlib
import subprocess
import urllib.request

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
