"""The programs of a node as a process manager sees them; supervisord behind one small interface.
It must not know actors: what is alive and stuck, the lock files and heartbeats tell. Starting supervisord is `scanpost up`'s.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

from protocol.errors import ScanpostError
from protocol.records import record
from protocol.settings import Settings

SLOTS = 8  # numprocs of the dispatcher in supervisord.conf
ANSWER_TIMEOUT_S = 60.0  # stopping a program waits for its end
_RUNNING = {"RUNNING", "STARTING", "BACKOFF"}
_SAME_STATE = {60, 70}  # supervisor.xmlrpc.Faults: ALREADY_STARTED, NOT_RUNNING


class NotRunning(ScanpostError):
    """No process manager answers for this node; `scanpost up` starts it."""


@record
class Program:
    """One program: `group:name` as the manager calls it, its state in capitals, pid 0 if it does not run."""

    name: str
    group: str
    state: str
    pid: int
    uptime_s: int
    error: str

    @property
    def wanted(self) -> bool:
        """Runs, or will as soon as it can."""
        return self.state in _RUNNING


class ProcessManager(Protocol):
    """What the command line and the web page need of whatever starts and restarts programs."""

    def programs(self) -> list[Program]:
        """All programs. Raises NotRunning."""

    def start(self, name: str) -> None:
        """Start one program; it may run already. Raises NotRunning, ScanpostError."""

    def stop(self, name: str) -> None:
        """Stop one program and wait for its end; it may be stopped already. Raises NotRunning, ScanpostError."""

    def shut_down(self) -> None:
        """Begin to stop everything, the manager too. Raises NotRunning."""

    def hurry(self) -> None:
        """Have a manager that is stopping look at its programs now; whether it still answers does not matter."""


class Supervisord:
    """ProcessManager over supervisord's XML-RPC on its unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def programs(self) -> list[Program]:
        found = cast(list[dict[str, Any]], self._call("supervisor.getAllProcessInfo"))
        return [
            Program(
                f"{one['group']}:{one['name']}", one["group"], one["statename"], one["pid"],
                max(0, one["now"] - one["start"]) if one["pid"] else 0, one["spawnerr"],
            )
            for one in found
        ]  # fmt: skip

    def start(self, name: str) -> None:
        self._call("supervisor.startProcess", name, False)

    def stop(self, name: str) -> None:
        self._call("supervisor.stopProcess", name, True)

    def shut_down(self) -> None:
        self._call("supervisor.shutdown")

    def hurry(self) -> None:
        # It looks once a second for the end of one group before it stops the next, unless somebody talks to it.
        with suppress(ScanpostError):
            self._call("supervisor.getState")

    def pid(self) -> int:
        """Process id of supervisord itself. Raises NotRunning."""
        return cast(int, self._call("supervisor.getPID"))

    def _call(self, method: str, *arguments: Any) -> Any:
        connection = _UnixConnection(self._path)
        try:
            body = xmlrpc.client.dumps(arguments, method).encode()
            connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
            return xmlrpc.client.loads(connection.getresponse().read().decode())[0][0]
        except xmlrpc.client.Fault as exc:
            if exc.faultCode in _SAME_STATE:
                return None
            raise ScanpostError(f"supervisord refused {method}{arguments}: {exc.faultString}") from exc
        except (FileNotFoundError, ConnectionRefusedError) as exc:  # never started, or its socket was left over
            raise NotRunning(f"this node is not running (nobody at {self._path}); `scanpost up` starts it") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NotRunning(f"supervisord does not answer at {self._path} ({exc})") from exc
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def manager(settings: Settings) -> Supervisord:
    """The process manager of this node; it may not be running."""
    return Supervisord(settings.socket("supervisor.sock"))


def scale(programs: ProcessManager, wanted: int) -> None:
    """Run that many dispatchers: start or stop slots from the end, the others keep running."""
    slots = sorted(one.name for one in programs.programs() if one.group == "dispatcher")
    for number, name in enumerate(slots):
        (programs.start if number < wanted else programs.stop)(name)
