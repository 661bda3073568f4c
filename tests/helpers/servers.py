"""Services that tests start and stop: MLflow's server, PostgreSQL, a host of archives."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

PATIENCE = 600.0


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Mlflow:
    """A server of MLflow's at a port of its own, that can be killed and started again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [str(word) for word in self.command()],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        began = time.monotonic()
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() - began < PATIENCE
            time.sleep(0.1)

    def answers(self):
        try:
            with urlopen(f"{self.uri}/health", timeout=1) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    def stop(self):
        """Kill the server with its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class MlflowServer(Mlflow):
    """`mlflow server`, light."""

    def __init__(self, folder, backend=None):
        super().__init__(folder)
        self.backend = backend or f"sqlite:///{folder / 'server.db'}"

    def command(self):
        return (
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
            "--port", self.port, "--workers", 1,
            "--serve-artifacts", "--backend-store-uri", self.backend,
            "--artifacts-destination", self.folder / "artifacts",
        )  # fmt: skip


class MlflowPage(Mlflow):
    """`zslbench ui` of a results folder."""

    def command(self):
        zslbench = Path(sys.executable).with_name("zslbench")
        return zslbench, "ui", "--results", self.folder, "--port", self.port


@contextmanager
def running(server):
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Postgres:
    """PostgreSQL on a private port, with its data in a folder that goes with it.

    It refuses to run as root, and then runs as the user that its package brings.
    """

    def __init__(self):
        self.bin, self.port = postgres_bin(), free_port()
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="zslbench-postgres-"))
        if self.as_user:
            shutil.chown(self.folder, "postgres")
        self._do("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-N")
        self.go_on()

    def go_on(self):
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self.folder / "log"
        self._do("pg_ctl", "-D", self.folder / "data", "-o", settings, "-l", log, "-w", "start")

    def go_away(self):
        self._do("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def database(self, name):
        """Make a database; return its URL."""
        self._do("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop(self):
        self.go_away()
        shutil.rmtree(self.folder)

    def _do(self, program, *words):
        subprocess.run(
            [*self.as_user, self.bin / program, *map(str, words)],
            check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip


def postgres_bin():
    """Return the folder of PostgreSQL's programs; where it is absent the test is skipped."""
    pytest.importorskip("psycopg", reason="psycopg is absent: pip install 'zslbench[postgres]'")
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not folders:
        pytest.skip("PostgreSQL is absent: apt-get install postgresql")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    return folders[0]


class Host:
    """What a host serves, how it fails, and what it was asked for.

    Attributes:
        files: Name -> content.
        breaks: Name -> after how many bytes the connection is closed, once each.
        asked: (name, the header Range) of each request.
        ranges: Whether parts of files can be asked for.
    """

    def __init__(self, address):
        self.address, self.files, self.breaks, self.asked = address, {}, {}, []
        self.ranges = True


class Handler(BaseHTTPRequestHandler):
    """Serves the files of a `Host`, as Apache and nginx do."""

    def do_GET(self):
        name, host = self.path.rpartition("/")[2], self.server.host
        wanted = self.headers.get("Range")
        host.asked.append((name, wanted))
        if name not in host.files:
            self.send_error(404)
            return
        content, tag = host.files[name], f'"{hash(host.files[name])}"'
        start = 0
        if wanted and host.ranges and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : host.breaks.pop(name, len(content))])

    def log_message(self, *_):
        pass


@contextmanager
def hosted(files):
    """Yield a host that serves files, name -> content."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.host = host = Host(f"http://127.0.0.1:{server.server_port}")
    host.files = dict(files)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield host
    server.shutdown()
    server.server_close()
    thread.join()
