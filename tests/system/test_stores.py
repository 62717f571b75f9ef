"""The sale on the stores that production has: a real MySQL 8, a real Kafka, and both, killed in its middle.

Each sale ends with `ticketctl verify`, which `ticketctl load` runs. Where a store cannot be had the tests skip, loudly.
"""

import os
import signal
import subprocess

import pymysql
import pytest
from conftest import ROOT, command_lines, ticketctl, wait_until
from kafka_world import World
from test_recovery import Sale, await_midst, metric, mysql_arguments, process_of
from test_sale import load

# Long enough that what is killed second dies in its middle, too.
SEATS, USERS = 60, 150
OPTIONS = dict(seats=SEATS, max_active=40, rate=25, payment_ms=1500)


def fetched(tool):
    """What a tools/fetch-* prints: where the store is."""
    done = subprocess.run([ROOT / "tools" / tool], capture_output=True, text=True, timeout=600)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def mysqld():
    return fetched("fetch-mysql") + "/bin/mysqld"


@pytest.fixture(scope="module")
def kafka_jars():
    return fetched("fetch-kafka")


def begin_sale(status, *arguments):
    sale = Sale(status, "--users", str(USERS), "--seats", str(SEATS), *arguments)
    await_midst(status)
    return sale


def assert_midst(status):
    assert metric(status, "seat-arbiter", "ticketlab_arbiter_confirmed_total") < SEATS


def kill_and_await_restart(status, name):
    """As in test_recovery, with the patience that a JVM and MySQL's recovery need."""
    assert_midst(status)
    before = process_of(status, name)
    os.kill(before["pid"], signal.SIGKILL)

    def is_back():
        now = process_of(status, name)
        return now["pid"] != before["pid"] and now["ready"]

    wait_until(is_back, timeout_s=90, what=f"the restart of {name}")


def assert_mysql_8(status):
    arguments = dict(word.removeprefix("--").split("=", 1) for word in mysql_arguments(status))
    with pymysql.connect(user=arguments["user"], password=arguments["password"],
                         unix_socket=arguments["socket"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION(), (SELECT SUM(is_reserved) FROM ticket_db.seat)")
        version, sold = cursor.fetchone()
    assert version.startswith("8."), version
    return sold


def assert_real_kafka(status):
    words = command_lines()[process_of(status, "kafka")["pid"]]
    assert os.path.basename(words[0]) == "java" and "kafka.Kafka" in words


def assert_sold_out(report, seats=SEATS):
    assert report["sold"] == seats
    assert report["doubleSold"] == 0


# ---- MySQL 8 -----------------------------------------------------------------------------------


def test_the_crowd_on_mysql_8(engine, mysqld):
    with engine(payment_ms=300, seats=45, mysqld=mysqld) as status:
        assert assert_mysql_8(status) == 0
        report = load(status, "crowd", "--speed", "10")
        assert_sold_out(report, 45)
        assert report["answers"].get("5xx", 0) == 0
        assert assert_mysql_8(status) == 45


def test_mysql_8_and_the_persister_are_killed_in_the_middle(engine, mysqld):
    with engine(**OPTIONS, mysqld=mysqld) as status:
        sale = begin_sale(status)
        kill_and_await_restart(status, "persister")
        kill_and_await_restart(status, "mysql")
        assert_sold_out(sale.result())
        assert assert_mysql_8(status) == SEATS


# ---- Kafka 4.3 ---------------------------------------------------------------------------------


def test_a_kafka_that_runs_elsewhere_is_dead_for_a_while(engine, kafka_jars, monkeypatch):
    """The broker is no child of ours; nobody starts it again but its operator. The sale does not wait for that."""
    world = World()
    try:
        world.start_kafka()
        monkeypatch.setenv("KAFKA_BROKERS", world.brokers())
        with engine(**OPTIONS) as status:
            assert status["endpoints"]["kafka"] == world.brokers()
            assert "kafka" not in [process["name"] for process in status["processes"]]
            sale = begin_sale(status, "--no-verify")
            world.stop("kafka", signal.SIGKILL)
            assert_sold_out(sale.result())
            assert metric(status, "kafka-bridge", "ticketlab_events_lag") > 0
            world.start_kafka()
            ticketctl("verify", "--dir", status["dir"], "--wait", "60")
    finally:
        world.close()


def test_a_real_kafka_is_killed_in_the_middle(engine, kafka_jars):
    with engine(**OPTIONS, kafka="real") as status:
        assert_real_kafka(status)
        sale = begin_sale(status)
        kill_and_await_restart(status, "kafka")
        assert_sold_out(sale.result())
        assert_real_kafka(status)


# ---- both --------------------------------------------------------------------------------------


def test_mysql_8_and_a_real_kafka_are_killed_at_once(engine, mysqld, kafka_jars):
    with engine(**OPTIONS, mysqld=mysqld, kafka="real") as status:
        sale = begin_sale(status)
        assert_midst(status)
        for name in ("mysql", "kafka", "persister"):
            os.kill(process_of(status, name)["pid"], signal.SIGKILL)
        assert_sold_out(sale.result())
        assert_real_kafka(status)
        assert assert_mysql_8(status) == SEATS
