"""A mail server that is dead, or only pretends to live, never touches a sale."""

import contextlib
import socket
import urllib.request

import pytest
from conftest import free_port, wait_until
from test_recovery import metric
from test_sale import load

SEATS = 12


@contextlib.contextmanager
def dead():
    yield free_port()


@contextlib.contextmanager
def silent():
    """It takes connections, and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("server", [dead, silent])
def test_the_sale_goes_on_and_statistics_count(engine, server):
    with server() as port:
        settings = {"notifier.smtp_url": f"smtp://127.0.0.1:{port}", "notifier.tries": 2, "notifier.backoff_ms": 20}
        with engine(seats=SEATS, payment_ms=100, set=settings) as status:
            report = load(status, "seed", "--users", "40", "--seats", str(SEATS), "--speed", "10")
            assert (report["sold"], report["doubleSold"], report["answers"].get("5xx", 0)) == (SEATS, 0, 0)

            def counted(name):
                return metric(status, "notifier", f"ticketlab_{name}_total")

            wait_until(lambda: counted("statistics_success") == SEATS, what="the statistics")
            assert counted("notifier_mail") == 0
            if server is dead:
                wait_until(lambda: counted("notifier_dead_letters") >= SEATS, what="the dead letters")
            bridge = metric(status, "kafka-bridge", "ticketlab_events_lag")
            assert bridge == 0
            notifier = next(p for p in status["processes"] if p["name"] == "notifier")
            with urllib.request.urlopen(notifier["management"] + "/readyz", timeout=5) as answer:
                assert answer.status == 200
