"""What `make install` lays down works from there: an engine that knows nothing of the sources."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import ROOT, command_lines, free_port, pids, ticketctl, wait_until


@pytest.fixture(scope="module")
def installed():
    """The root of an installation, with PREFIX=/usr."""
    place = tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp")
    subprocess.run(["make", "-s", "install", f"DESTDIR={place}", "PREFIX=/usr"], cwd=ROOT, check=True,
                   capture_output=True, timeout=300)
    yield pathlib.Path(place) / "usr"
    shutil.rmtree(place)


@pytest.mark.parametrize("kafka", ["mock", "real"])
def test_an_installed_engine_sells(installed, kafka):
    if kafka == "real":
        fetched = subprocess.run([ROOT / "tools" / "fetch-kafka"], capture_output=True, text=True, timeout=600)
        if fetched.returncode == 77:
            pytest.skip(fetched.stderr.strip())
        assert fetched.returncode == 0, fetched.stderr
    directory = tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp")

    def run(*words):
        done = subprocess.run([installed / "bin" / "ticketctl", *words, "--dir", directory], cwd="/", timeout=180,
                              capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"

    try:
        run("up", "--http-port", str(free_port()), "--seats", "10", "--payment-ms", "100", "--kafka", kafka)
        everybody = command_lines()
        ours = [everybody[pid] for pid in pids(directory)]
        assert len(ours) >= 13
        assert not [words for words in ours if any(str(ROOT) in word for word in words)]
        run("load", "--users", "30", "--seats", "10", "--speed", "10")
        run("down")
        wait_until(lambda: not pids(directory), timeout_s=10, what="the end of all")
    finally:
        ticketctl("down", "--dir", directory, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def test_what_readers_of_an_installation_look_for(installed):
    shared = installed / "share" / "ticketlab"
    assert (shared / "production.cfg").read_bytes() == (ROOT / "compose" / "production.cfg").read_bytes()
    names = sorted(path.name for path in (ROOT / "schemas" / "sql").iterdir())
    assert sorted(path.name for path in (shared / "sql").iterdir()) == names
    assert os.readlink(installed / "bin" / "ticketctl") == "../libexec/ticketlab/ticketctl"
