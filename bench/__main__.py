"""`python -m bench [NAME ...]`: receive, parallel, send. Peers and scanpost in turn, the median of several repetitions."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import images, peers
from bench.runs import Result, compare, report


def receive(folder: Path, share: float, repetitions: int) -> list[Result]:
    """One association of storescu: storescp, receiver relaxed, receiver fsync."""
    results = []
    for name in images.SETS:
        count = images.make(name, folder / name, share)
        with ExitStack() as stack:
            ports = {
                "storescp +B": stack.enter_context(peers.storescp(folder / "peer", "+B", "+uf")),
                "scanpost relaxed": stack.enter_context(peers.receiver(folder / "relaxed", "relaxed")),
                "scanpost fsync": stack.enter_context(peers.receiver(folder / "fsync", "fsync")),
            }
            contenders = [(peer, _storescu(port, folder / name)) for peer, port in ports.items()]
            results += compare(f"receive {name}, 1 association", count, contenders, repetitions)
    return results


def _storescu(port: int, folder: Path) -> Callable[[], None]:
    # +II invents new instance UIDs: each repetition sends new images, not duplicates
    return lambda: peers.run("storescu", "-R", "+sd", "-pdu", "131072", "+II", "127.0.0.1", str(port), str(folder))


def parallel(folder: Path, share: float, repetitions: int) -> list[Result]:
    """Eight associations at once."""
    results = []
    for name in images.SETS:
        count = images.make(name, folder / name, share)
        with ExitStack() as stack:
            ports = {
                "storescp +B": stack.enter_context(peers.storescp(folder / "peer", "+B", "+uf")),
                "scanpost relaxed": stack.enter_context(peers.receiver(folder / "relaxed", "relaxed")),
                "scanpost fsync": stack.enter_context(peers.receiver(folder / "fsync", "fsync")),
            }
            contenders = [(peer, _eight(port, folder / name)) for peer, port in ports.items()]
            results += compare(f"receive {name}, 8 associations", 8 * count, contenders, repetitions)
    return results


def _eight(port: int, folder: Path) -> Callable[[], None]:
    command = ["storescu", "-R", "+sd", "-pdu", "131072", "+II", "127.0.0.1", str(port), str(folder)]
    return lambda: peers.at_once([command] * 8)


def send(folder: Path, share: float, repetitions: int) -> list[Result]:
    """One association to a storescp that throws data away: dcmsend, scanpost send (start-up of Python included)."""
    results = []
    for name in images.SETS:
        count = images.make(name, folder / name, share)
        with peers.storescp(folder / "peer", "--ignore") as port:
            contenders: list[tuple[str, Callable[[], None]]] = [
                ("dcmsend", lambda p=port, n=name: peers.run(  # type: ignore[misc]
                    "dcmsend", "+sd", "+r", "-pdu", "131072", "--no-uid-checks", "127.0.0.1", str(p), str(folder / n))),
                ("scanpost send", lambda p=port, n=name: peers.run(  # type: ignore[misc]
                    sys.executable, "-m", "scanpost", "send", "127.0.0.1", str(p), str(folder / n))),
            ]  # fmt: skip
            results += compare(f"send {name}, 1 association", count, contenders, repetitions)
    return results


BENCHES = {"receive": receive, "parallel": parallel, "send": send}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="default: all")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="part of each set, for a quick look")
    parser.add_argument("--results", type=Path, default=Path("var/bench"))
    chosen = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="scanpost-bench-") as folder:
        for name in chosen.names or BENCHES:
            results += BENCHES[name](Path(folder), chosen.share, chosen.repetitions)
    report(results, chosen.results)


if __name__ == "__main__":
    main()
