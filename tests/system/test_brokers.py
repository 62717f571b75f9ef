"""Several brokers at once: each is enough, and one that stops is done without."""

import os
import pathlib
import signal
import subprocess
import tempfile

from conftest import ROOT, free_port, pids, ticketctl, wait_until
from test_python_client import CONFIRMED, HELD, PAY, PING, Client, expect


def test_a_broker_that_stops_is_done_without(engine):
    with tempfile.TemporaryDirectory(prefix="ticketlab-", dir="/tmp") as pipes:
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        first = {"broker.actor_endpoint": f"ipc://{pipes}/a1", "broker.feed_endpoint": f"ipc://{pipes}/f1"}
        both = {"cluster.brokers": f"ipc://{pipes}/a1,ipc://{pipes}/a2",
                "cluster.feeds": f"ipc://{pipes}/f1,ipc://{pipes}/f2"}
        with engine(seats=8, payment_ms=200, set={**first, **both, "psp.success_percent": 100}) as status:
            config = pathlib.Path(status["dir"]) / "engine.cfg"
            second = subprocess.Popen(
                [ROOT / "build" / "broker", f"--config={config}", "--name=broker-2",
                 f"--set=broker.client_endpoint={endpoint}", f"--set=broker.actor_endpoint=ipc://{pipes}/a2",
                 f"--set=broker.feed_endpoint=ipc://{pipes}/f2"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stopped = []
            try:
                # Half of a sale by the one broker, half by the other.
                one, two = Client(status["endpoints"]["client"]), Client(endpoint)
                expect(two.ask(PING, 0, 0), "DONE")
                pass_ = one.enter_and_wait(7)
                held = expect(two.hold(7, [3], pass_), "RESERVATION", state=HELD)
                paid = expect(one.ask(PAY, held["reservation_id"], 7, 1), "RESERVATION", state=CONFIRMED)
                assert paid["seats"] == [3]
                # Paused, so that it is not started again: the actors notice its silence.
                stopped = [pid for pid in pids(status["dir"], "broker") if pid != second.pid]
                os.kill(stopped[0], signal.SIGSTOP)
                pass_ = two.enter_and_wait(8)
                held = expect(two.hold(8, [4], pass_), "RESERVATION", state=HELD)
                expect(two.ask(PAY, held["reservation_id"], 8, 1), "RESERVATION", state=CONFIRMED)
                os.kill(stopped.pop(), signal.SIGCONT)
                pass_ = one.enter_and_wait(9)
                expect(one.hold(9, [5], pass_), "RESERVATION", state=HELD)
                wait_until(lambda: ticketctl("verify", "--dir", status["dir"], check=False).returncode == 0,
                           what="agreement")
                one.close()
                two.close()
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
                second.terminate()
                second.wait(timeout=20)
