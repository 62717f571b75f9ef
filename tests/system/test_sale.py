"""The sale as a whole: the original's load test, its impatient and its crowded variants, and a client of plain shell."""

import json
import pathlib
import re
import subprocess
import urllib.request

from conftest import ROOT, ticketctl


def load(status, scenario, *arguments, timeout=400):
    report = pathlib.Path(status["dir"]) / "load.json"
    ticketctl("load", "--dir", status["dir"], "--scenario", scenario, "--json", report, *arguments, timeout=timeout)
    return json.loads(report.read_text())


def test_seed(engine):
    with engine(payment_ms=1000) as status:
        report = load(status, "seed", "--speed", "5")
        assert report["sold"] == 100
        assert report["withoutSeat"] == 900
        assert report["doubleSold"] == 0
        assert [step["limit"] for step in report["active"]] == [100, 200]
        assert all(0 < step["peak"] <= step["limit"] for step in report["active"])
        assert report["rankCorrelation"] > 0.9999
        assert report["answers"].get("5xx", 0) == 0


def test_seed_over_zeromq(engine):
    with engine(payment_ms=500, seats=50) as status:
        report = load(status, "seed", "--transport", "zmq", "--users", "400", "--seats", "50", "--speed", "10")
        assert report["sold"] == 50
        assert report["doubleSold"] == 0


def test_seed_impatient(engine):
    with engine(payment_ms=500, seats=50) as status:
        report = load(status, "seed-impatient", "--users", "400", "--seats", "50", "--speed", "10")
        assert report["sold"] == 50
        assert report["answers"]["403"] > 0
        assert report["answers"].get("5xx", 0) == 0


def test_crowd(engine):
    """SEED fault 10: the original sold seats twice here."""
    with engine(payment_ms=500, seats=45) as status:
        report = load(status, "crowd", "--speed", "10")
        assert report["sold"] == 45
        assert report["doubleSold"] == 0


def test_two_engines_side_by_side(engine):
    with engine(seats=10, payment_ms=100) as one, engine(seats=12, payment_ms=100) as two:
        assert load(one, "seed", "--users", "30", "--seats", "10", "--speed", "10")["sold"] == 10
        assert load(two, "seed", "--users", "30", "--seats", "12", "--speed", "10")["sold"] == 12


def test_a_taken_port_is_a_clear_error(engine):
    with engine(seats=10) as status:
        other = pathlib.Path(status["dir"]) / "other"
        done = ticketctl("up", "--dir", other, "--http-port", status["http_port"], check=False)
        assert done.returncode != 0
        assert str(status["http_port"]) in done.stdout + done.stderr
        again = ticketctl("up", "--dir", status["dir"], check=False)
        assert again.returncode != 0


def test_a_client_of_plain_shell_sells_all(engine):
    with engine(payment_ms=500) as status:
        done = subprocess.run(
            [str(ROOT / "tests/system/v1_client.sh"), status["endpoints"]["http"], "1000", "100", "100", "1"],
            capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        ticketctl("verify", "--dir", status["dir"])
        sold = urllib.request.urlopen(status["endpoints"]["http"] + "/actuator/prometheus").read().decode()
        assert re.search(r"^reservation_success_total 100(\.0)?$", sold, re.M), sold[:2000]


def test_metrics_are_clean(engine):
    with engine(seats=10, payment_ms=100) as status:
        load(status, "seed", "--users", "20", "--seats", "10", "--speed", "10")
        pages = {"gateway (public)": status["endpoints"]["http"] + "/actuator/prometheus"}
        for process in status["processes"]:
            if process.get("management"):
                pages[process["name"]] = process["management"] + "/metrics"
        assert len(pages) >= 10
        for name, url in pages.items():
            text = urllib.request.urlopen(url, timeout=5).read()
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
            assert done.returncode == 0, f"{name}: {done.stdout.decode()} {done.stderr.decode()}"
        public = urllib.request.urlopen(pages["gateway (public)"]).read().decode()
        for wanted in ("reservation_success_total", "reservation_failed_total", "payment_success_total",
                       "payment_failed_total", "lock_timeout_total", "reservation_active_count",
                       "queue_waiting_size", "reservation_duration_seconds_count",
                       "lock_acquisition_duration_seconds_count", "payment_duration_seconds_count"):
            assert re.search(rf"^{wanted} ", public, re.M), wanted
        assert re.search(r"^reservation_active_count 0$", public, re.M)
