"""A child process that never outlives us.

A few lines of shell stand between us and the child and hold one end of a pipe. When we ask, or when we end in
any way (kill -9 included), the pipe closes and the shell passes the signal for an orderly end on to the child.
The child has its own session, so Ctrl-C reaches us alone and we decide the order in which things end.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_KEEPER = """
signal=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(read -r _ <&3; kill -s "$signal" "$child") &
reader=$!
exec 3<&-
wait "$child"
code=$?
kill "$reader" 2>/dev/null
exit $code
"""


class KeptProcess:
    """`end_signal` is the name (`INT`, `TERM`) of the signal after which the command ends in good order.

    `account` is whose rights it gets, which needs root; `log` receives what the command prints.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        end_signal: str = "TERM",
        account: pwd.struct_passwd | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path = Path("/"),
    ) -> None:
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - the command comes from our own code
                ["/bin/sh", "-c", _KEEPER, "keeper", end_signal, *map(str, command)],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=() if account else None,
                env=environment,
                cwd=directory,
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_seconds: float | None = None) -> int:
        """The exit status; raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_seconds)

    def stop(self, timeout_seconds: float = 30) -> None:
        """Ask for an orderly end, and kill what has not ended in time."""
        pipe = self._process.stdin
        assert pipe is not None
        if not pipe.closed:
            with pipe, suppress(BrokenPipeError):
                # A line, and not only the closed pipe: processes we forked may still hold their copy of its end.
                pipe.write(b"\n")
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
