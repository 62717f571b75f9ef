"""ticketctl itself: starting, stopping, watching and examining an engine, and what it says when that cannot be done."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pymysql
import pytest
from conftest import TICKETCTL, command_lines, free_port, pids, running_engine, ticketctl, wait_until

NAMES = ["admission", "broker", "gateway", "kafka", "kafka-bridge", "mysql", "notifier", "payment-timer", "persister",
         "psp-sim", "redis", "seat-arbiter-1", "seat-arbiter-2"]


@pytest.fixture(scope="module")
def running():
    with running_engine(seats=10, payment_ms=100) as status:
        yield status


@pytest.fixture
def directory():
    """A place for an engine that the test itself starts; afterwards nothing of it may run."""
    path = tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp")
    yield path
    ticketctl("down", "--dir", path, check=False)
    left = pids(path)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)
    assert not left, f"processes left after down: {left}"


def up(directory, *arguments, **options):
    return ticketctl("up", "--dir", directory, "--http-port", free_port(), *arguments, **options)


def status_of(directory):
    done = ticketctl("status", "--dir", directory, "-o", "json", check=False)
    return done.returncode, json.loads(done.stdout)


def process(directory, name):
    return next(item for item in status_of(directory)[1]["processes"] if item["name"] == name)


def launcher_of(directory):
    found = [pid for pid, words in command_lines().items() if words[1:4] == ["launcher", "--dir", str(directory)]]
    assert len(found) == 1
    return found[0]


# ---- status ------------------------------------------------------------------------------------


def test_status_tells_what_outsiders_rely_on(running):
    assert running["ready"] is True
    assert sorted(item["name"] for item in running["processes"]) == NAMES
    for item in running["processes"]:
        assert item["ready"] is True
        assert item["pid"] in pids(running["dir"])
        stores = ("redis", "mysql")
        assert item["role"] in stores or item["management"].startswith("http://127.0.0.1:")
        assert item["name"].startswith(item["role"])
    addresses = running["endpoints"]
    assert addresses["http"] == f"http://127.0.0.1:{running['http_port']}"
    assert addresses["client"].startswith("tcp://127.0.0.1:")
    assert addresses["redis"] == f"unix://{running['dir']}/redis.sock"
    assert addresses["mysql"].startswith("mysql://ticketlab:")
    host, port = addresses["kafka"].split(":")
    socket.create_connection((host, int(port)), timeout=2).close()


def test_only_its_owner_can_read_the_secrets(running):
    for name in ("engine.cfg", "mysql-accounts.sql", "plan.json", "status.json", "redis.conf"):
        assert (pathlib.Path(running["dir"]) / name).stat().st_mode & 0o077 == 0, name


def test_status_without_an_engine(directory):
    code, said = status_of(directory)
    assert code == 1 and said == {"ready": False, "processes": [], "endpoints": {}}


def test_a_process_that_does_not_answer_is_not_ready(running):
    pid = process(running["dir"], "notifier")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, said = status_of(running["dir"])
        assert code == 3 and said["ready"] is False
        assert [item["name"] for item in said["processes"] if not item["ready"]] == ["notifier"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: status_of(running["dir"])[0] == 0, what="the notifier")


@pytest.mark.parametrize("name", ["psp-sim", "redis", "mysql"])
def test_what_dies_is_started_again(running, name):
    before = process(running["dir"], name)
    os.kill(before["pid"], signal.SIGKILL)

    def is_back():
        now = process(running["dir"], name)
        return now["pid"] not in (None, before["pid"]) and now["ready"]

    wait_until(is_back, what=f"another {name}")
    assert process(running["dir"], name)["restarts"] == before["restarts"] + 1


# ---- stat, performance, doctor -----------------------------------------------------------------


def test_stat_counts_lines(running):
    lines = ticketctl("stat", "--dir", running["dir"], "--count", "2").stdout.splitlines()
    assert len(lines) == 3 and lines[0].split()[:4] == ["waiting", "active", "held", "sold"]
    assert len(lines[1].split()) >= 8
    line = json.loads(ticketctl("stat", "--dir", running["dir"], "--count", "1", "-o", "json").stdout)
    assert line["sold"] == 0 and line["holdsPerS"] == 0 and line["holdP99Ms"] is None


def test_a_performance_is_put_on_sale(running):
    words = ["performance", "create", "--dir", running["dir"], "--id", 7, "--name", "Zürich 'late'", "--seats", 40,
             "--price", 1200, "--opens-at", "2000-01-01T00:00:00+09:00"]
    assert "is on sale" in ticketctl(*words).stdout
    assert "was there already" in ticketctl(*words).stdout
    listed = json.loads(ticketctl("performance", "list", "--dir", running["dir"], "-o", "json").stdout)
    assert [item["id"] for item in listed] == [1, 7]
    assert listed[1] == {"id": 7, "name": "Zürich 'late'", "seats": 40, "opensAtMs": 946652400000, "sold": 0,
                         "held": 0, "price": 1200}
    words[words.index("--seats") + 1] = 41
    other = ticketctl(*words, check=False)
    assert other.returncode == 1 and "40 seats" in other.stderr


def test_doctor_examines_machine_and_engine(running):
    done = ticketctl("doctor", "--dir", running["dir"], "-o", "json", check=False)
    lines = {line["check"]: line for line in json.loads(done.stdout)}
    assert done.returncode == 0
    assert set(NAMES) <= set(lines)
    assert lines["redis-server"]["verdict"] == "ok" and "v=" in lines["redis-server"]["found"]
    pid = process(running["dir"], "notifier")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        text = ticketctl("doctor", "--dir", running["dir"], check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert text.returncode == 1
    failed = [line for line in text.stdout.splitlines() if line.startswith("fail")]
    assert len(failed) == 1 and "notifier" in failed[0] and "notifier.log" in failed[0]
    wait_until(lambda: status_of(running["dir"])[0] == 0, what="the notifier")


def test_doctor_misses_programs(directory):
    done = subprocess.run([TICKETCTL, "doctor", "--dir", directory], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "TICKETLAB_MYSQLD": "/nonexistent/mysqld"})
    assert done.returncode == 1
    assert any(line.startswith("fail") and "database server" in line for line in done.stdout.splitlines())


# ---- starting and stopping -----------------------------------------------------------------------


def test_an_engine_that_runs_already_is_left_alone(running):
    done = up(running["dir"], check=False)
    assert done.returncode == 1 and "already" in done.stderr
    assert status_of(running["dir"])[0] == 0


def test_a_taken_port_is_named(running, directory):
    done = ticketctl("up", "--dir", directory, "--http-port", running["http_port"], check=False)
    assert done.returncode == 1 and f"port {running['http_port']} is taken" in done.stderr
    assert not pids(directory)


def test_a_long_directory_is_a_clear_error(directory):
    deep = f"{directory}/{'d' * 100}"
    done = up(deep, check=False)
    assert done.returncode == 1 and "too long" in done.stderr
    assert not os.path.exists(deep)


def test_a_directory_that_others_may_write_is_refused(directory):
    os.chmod(directory, 0o777)
    done = up(directory, check=False)
    assert done.returncode == 1 and "others may write" in done.stderr


def test_a_wrong_setting_is_named(directory):
    done = up(directory, "--set", "admission.rat=5", check=False)
    assert done.returncode == 2 and "admission.rat" in done.stderr


def test_a_process_that_cannot_start_is_named_with_its_log(directory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = up(directory, "--set", f"broker.client_endpoint=tcp://127.0.0.1:{port}", check=False)
    assert done.returncode == 1
    assert "broker cannot be started" in done.stderr and "logs/broker.log" in done.stderr and str(port) in done.stderr
    assert not pids(directory)
    assert ticketctl("down", "--dir", directory, check=False).returncode == 1


def test_a_server_that_warns_before_it_says_its_version(directory):
    """MariaDB does, where there is no network but loopback: it was taken for MySQL, and made no database."""
    server = pathlib.Path(directory) / "mariadbd"
    real = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin:/usr/libexec")
    server.write_text(f'#!/bin/sh\necho "[Warning] failed to retrieve the MAC address" >&2\nexec {real} "$@"\n')
    server.chmod(0o700)
    up(directory, "--mysqld", server)
    assert status_of(directory)[0] == 0


def test_down_up_keeps_data_and_secrets(directory):
    up(directory, "--seats", 12, "--set", "cluster.shards=4")
    first = status_of(directory)[1]["endpoints"]["mysql"]
    with contextlib.closing(database(directory)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (id INT) ")
    ticketctl("down", "--dir", directory)
    assert not pids(directory)
    assert ticketctl("down", "--dir", directory, check=False).returncode == 1
    up(directory)  # neither seats nor shards are said again
    assert status_of(directory)[1]["endpoints"]["mysql"] == first
    with contextlib.closing(database(directory)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM kept")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT COUNT(*) FROM seat")
        assert cursor.fetchone() == (12,)
    ticketctl("down", "--dir", directory)
    done = up(directory, "--seats", 13, check=False)
    assert done.returncode == 1 and "12 seats" in done.stderr


def database(directory):
    config = (pathlib.Path(directory) / "engine.cfg").read_text()
    password = config.split("mysql\n", 1)[1].split('password = "', 1)[1].split('"', 1)[0]
    return pymysql.connect(unix_socket=f"{directory}/mysql.sock", user="ticketlab", password=password,
                           database="ticket_db", autocommit=True)


def test_engines_that_start_at_once_share_nothing(directory):
    homes = [f"{directory}/{number}" for number in range(3)]
    started = [subprocess.Popen([TICKETCTL, "up", "--dir", home, "--http-port", str(free_port())],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for home in homes]
    try:
        said = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0], said
        blocks = [{int(item["management"].rsplit(":", 1)[1]) // 50 for item in status_of(home)[1]["processes"]
                   if "management" in item} for home in homes]
        assert [len(block) for block in blocks] == [1, 1, 1] and len(set.union(*blocks)) == 3
        for home in homes:  # a server that starts clears its place for temporary files
            with contextlib.closing(database(home)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@tmpdir")
                assert cursor.fetchone() == (f"{home}/mysql.tmp",)
    finally:
        for home in homes:
            ticketctl("down", "--dir", home, check=False)


def test_a_killed_launcher_leaves_no_process(directory):
    up(directory)
    os.kill(launcher_of(directory), signal.SIGKILL)
    wait_until(lambda: not pids(directory), timeout_s=10, what="the end of all")
    assert status_of(directory)[0] == 1
    assert ticketctl("down", "--dir", directory, check=False).returncode == 1
    up(directory)
    assert status_of(directory)[0] == 0


def test_a_stale_pid_file_harms_nobody(directory):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (pathlib.Path(directory) / "launcher.pid").write_text(f"{bystander.pid}\n")
        assert ticketctl("down", "--dir", directory, check=False).returncode == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


# ---- chaos -------------------------------------------------------------------------------------


def test_chaos_kills_once_and_sees_it_come_back(running):
    before = process(running["dir"], "notifier")
    said = ticketctl("chaos", "--dir", running["dir"], "--kill", "notifier").stdout
    assert f"kill -9 notifier (pid {before['pid']})" in said and "notifier is back after" in said
    assert process(running["dir"], "notifier")["pid"] != before["pid"]


def test_chaos_pauses_and_continues(running):
    before = process(running["dir"], "kafka-bridge")
    said = ticketctl("chaos", "--dir", running["dir"], "--kill", "kafka-bridge", "--faults", "pause").stdout
    assert "kafka-bridge is back after" in said
    after = process(running["dir"], "kafka-bridge")
    assert after["pid"] == before["pid"] and after["ready"]


def test_chaos_obeys_what_is_typed(running):
    done = subprocess.run([TICKETCTL, "chaos", "--dir", running["dir"]], input="payment-timer\n", capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and "payment-timer is back after" in done.stdout, done.stdout + done.stderr


def test_chaos_refuses_what_it_does_not_know(running, directory):
    for words in (["--kill", "nobody"], ["--faults", "fire"], ["--every", "0"]):
        assert ticketctl("chaos", "--dir", running["dir"], *words, check=False).returncode == 2, words
    assert ticketctl("chaos", "--dir", directory, check=False).returncode == 1


# ---- words -------------------------------------------------------------------------------------


def test_every_command_has_help_with_examples():
    said = ticketctl("--help").stdout
    commands = [line.split()[0] for line in said.split("commands\n")[1].split("\n\n")[0].splitlines()]
    assert {"up", "down", "status", "doctor", "stat", "performance", "load", "verify", "chaos", "completion"} == set(commands)
    for command in commands:
        text = ticketctl(command, "--help").stdout
        assert f"ticketctl {command}" in text and "examples" in text and "Exit status" in text, command


def test_wrong_words_are_usage_errors():
    for words in (["nothing"], ["up", "--nothing"], ["down", "now"], ["status", "-o", "xml"], ["stat", "--count", "0"],
                  ["performance"], ["performance", "create", "--id", "0"], ["completion", "tcsh"]):
        assert ticketctl(*words, check=False).returncode == 2, words


def test_completion_knows_commands_and_options():
    script = ticketctl("completion").stdout
    ask = f'{script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ticketctl "$1"; echo "${{COMPREPLY[*]}}"'

    def complete(*words):
        return subprocess.run(["bash", "-c", ask, "bash", TICKETCTL, *words], capture_output=True, text=True,
                              check=True).stdout.split()

    assert set(complete("st")) == {"stat", "status"}
    assert "--max-active" in complete("up", "--ma")
