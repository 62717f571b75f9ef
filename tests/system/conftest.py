"""What the system tests share: an engine of their own, started and stopped by ticketctl.

    def test_something(engine):
        with engine(seats=45, payment_ms=200, set={"admission.rate": 50}) as status:
            status["dir"], pids(status["dir"], "seat-arbiter")

Each engine lives in a new directory under /tmp and on free ports; afterwards no process of it may be left.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKETCTL = os.environ.get("TICKETCTL", str(ROOT / "build" / "ticketctl"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ticketctl(*arguments, timeout=120, check=True):
    """Run ticketctl; its output as text. A failure shows what it said."""
    done = subprocess.run(
        [TICKETCTL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout
    )
    if check:
        assert done.returncode == 0, f"ticketctl {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def command_lines():
    """pid -> arguments of every process whose arguments can be read."""
    lines = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0]:
                lines[int(entry.name)] = [word.decode(errors="replace") for word in words]
    return lines


def pids(directory, role=None):
    """Processes that name `directory` in their arguments; with `role`, those whose program is that role's."""
    return sorted(
        pid
        for pid, words in command_lines().items()
        if any(str(directory) in word for word in words)
        and pid != os.getpid()
        and (role is None or os.path.basename(words[0].split()[0]).rstrip(":") == role)
    )


def wait_until(condition, timeout_s=30, every_s=0.05, what="the condition"):
    """Poll until condition() is true and return its value; for what has no event to wait for."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every_s)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


def up_arguments(options):
    """engine(payment_ms=200, no_kafka=True, set={...}) -> --payment-ms 200 --no-kafka --set key=value"""
    words = []
    for key, value in options.items():
        if key == "set":
            for setting, text in value.items():
                words += ["--set", f"{setting}={text}"]
        elif value is True:
            words.append("--" + key.replace("_", "-"))
        elif value is not None and value is not False:
            words += ["--" + key.replace("_", "-"), str(value)]
    return words


@contextlib.contextmanager
def running_engine(**options):
    directory = tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp")
    options.setdefault("http_port", free_port())
    try:
        ticketctl("up", "--dir", directory, *up_arguments(options))
        status = json.loads(ticketctl("status", "--dir", directory, "-o", "json").stdout)
        status["dir"] = directory
        status["http_port"] = options["http_port"]
        yield status
    finally:
        ticketctl("down", "--dir", directory, check=False)
        left = pids(directory)
        for pid in left:  # ours: they carry our directory in their arguments
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if os.environ.get("KEEP_ENGINE_DIR"):
            print("kept", directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
        assert not left, f"processes left after down: {left}"


@pytest.fixture
def engine():
    """engine(**options of `ticketctl up`): a context manager that gives the status as a dictionary."""
    return running_engine
