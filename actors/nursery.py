"""Child processes without a start: one process forks early, when everything is imported, and forks again for each child.
It must not know what children do, and must never be needed: without a nursery, or after its death, they are started anew.

The nursery is forked before its actor has a thread, a socket or the spool, so nothing of these is in it. Children share the
memory of what is imported (a third of a process of their own) and are there in milliseconds. They end by themselves when
their actor is gone; the nursery does, too. Its actor names them by pidfd, so that no signal meets a stranger.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from actors.child import EXIT_SPOOL
from actors.newborn import Newborn

MOST_BYTES = 64 * 1024
MOST_FDS = 8
BIRTH_S = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Process = subprocess.Popen[bytes] | Newborn


class Nursery:
    """The actor's end. `start` may be called from any thread."""

    def __init__(self, module: str, sock: socket.socket) -> None:
        self.module, self._sock = module, sock
        self._mutex = threading.Lock()
        self._births: queue.Queue[Newborn | None] = queue.Queue()
        self._living: dict[int, Newborn] = {}
        self._reader: threading.Thread | None = None

    @classmethod
    def open(cls, module: str) -> Nursery | None:
        """Fork. Children will run `main(argv)` of this module. In the nursery and its children this does not return.

        To be called while this process has one thread. What is imported now is what they share. None: the kernel (older than
        5.3, or a container's filter) has no pidfds; then children are started anew.
        """
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:
            return None
        importlib.import_module(module)
        gc.collect()
        gc.freeze()  # else each child would copy the pages of all objects at its first look for garbage
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            sys.exit(_tend(theirs, module))
        theirs.close()
        return cls(module, ours)

    def start(
        self, arguments: Sequence[str], fds: Sequence[int], environ: Mapping[str, str], stdin: int
    ) -> Newborn | None:
        """A child with these arguments, in which `{0}` stands for the number that fds[0] has there, and so on.

        `stdin` is the place of its stdin among `fds`; -1: it reads nothing. None: the nursery is gone.
        """
        order = json.dumps({"argv": list(arguments), "environ": dict(environ), "stdin": stdin}).encode()
        with self._mutex:
            if self._reader is None:
                self._reader = threading.Thread(target=self._listen, name="nursery", daemon=True)
                self._reader.start()
            try:
                socket.send_fds(self._sock, [order], list(fds))
                return self._births.get(timeout=BIRTH_S)
            except OSError:
                return None
            except queue.Empty:  # who comes now would be taken for the next one
                self._sock.shutdown(socket.SHUT_RDWR)
                return None

    def _listen(self) -> None:
        """Body of the reading thread: births, and the codes of the dead."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, MOST_BYTES, MOST_FDS)
            except OSError:
                data = b""
            if not data:
                break
            told = json.loads(data)
            if fds:
                child = self._living[told["pid"]] = Newborn(told["pid"], fds[0])
                self._births.put(child)
            elif told["pid"] in self._living:
                self._living.pop(told["pid"]).end(told["code"])
        self._births.put(None)
        self._sock.close()
        for child in self._living.values():  # their codes nobody will know: nothing is held against what they worked on
            child.outlive(EXIT_SPOOL)


def begin(
    nursery: Nursery | None, module: str, arguments: Sequence[str], fds: Sequence[int], environ: Mapping[str, str],
    stdin: int = -1,
) -> Process:  # fmt: skip
    """A child process out of the nursery, else one that is started; `fds` stay the caller's to close. See Nursery.start."""
    if nursery is not None and nursery.module == module:
        child = nursery.start(arguments, fds, environ, stdin)
        if child is not None:
            return child
    command = [sys.executable, "-m", module, *(one.format(*fds) for one in arguments)]
    return subprocess.Popen(
        command, pass_fds=[fd for at, fd in enumerate(fds) if at != stdin],
        stdin=subprocess.DEVNULL if stdin < 0 else fds[stdin], env={**os.environ, **environ},
    )  # fmt: skip


# ---- in the nursery ---------------------------------------------------------------------------------------------------


def _tend(sock: socket.socket, module: str) -> int:
    """Until the actor is gone; in a child, its `main`. Returns the exit code."""
    for number in SIGNALS:  # told to the whole group; the actor says when it is over
        signal.signal(number, signal.SIG_IGN)
    poll, living = select.poll(), dict[int, int]()  # pidfd -> pid
    poll.register(sock, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd in living:
                poll.unregister(fd)
                _bury(sock, living.pop(fd), fd)
                continue
            data, fds, _, _ = socket.recv_fds(sock, MOST_BYTES, MOST_FDS)
            if not data:
                return 0
            pid = os.fork()
            if pid == 0:
                for other in (sock.detach(), *living):
                    os.close(other)
                return _child(module, json.loads(data), fds)
            for given in fds:
                os.close(given)
            pidfd = os.pidfd_open(pid)
            living[pidfd] = pid
            poll.register(pidfd, select.POLLIN)
            with contextlib.suppress(OSError):
                socket.send_fds(sock, [json.dumps({"pid": pid}).encode()], [pidfd])


def _bury(sock: socket.socket, pid: int, pidfd: int) -> None:
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with contextlib.suppress(OSError):
        sock.send(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _child(module: str, order: Mapping[str, object], fds: Sequence[int]) -> int:
    """What a process that was started would be like."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.update(order["environ"])  # type: ignore[call-overload]
    stdin = int(order["stdin"])  # type: ignore[call-overload]
    source = fds[stdin] if stdin >= 0 else os.open(os.devnull, os.O_RDONLY)
    os.dup2(source, 0)
    os.close(source)
    with (
        contextlib.suppress(OSError),
        open("/proc/self/comm", "w") as name,
    ):  # for those who look at a list of processes
        name.write(module.rpartition(".")[2])
    main = importlib.import_module(module).main
    code: int = main([one.format(*fds) for one in order["argv"]])  # type: ignore[attr-defined]
    return code
