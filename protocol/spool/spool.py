"""The spool as one object: opens the database and hands out its rooms, one per subject.
It holds no logic of its own; nobody opens spool.sqlite3 but through `open_spool`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from protocol.clock import Clock, SystemClock
from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import SpoolMissing
from protocol.fsops import FsOps, RealFs
from protocol.spool.accounting import Accounting
from protocol.spool.adoption import Adoption
from protocol.spool.alerts import Alerts
from protocol.spool.arrivals import Arrivals
from protocol.spool.browsing import Browsing
from protocol.spool.bulk import Bulk
from protocol.spool.cleaning import Cleaning
from protocol.spool.commands import Commands
from protocol.spool.commitments import Commitments
from protocol.spool.confirmations import Confirmations
from protocol.spool.database import Database, create_database, open_to_read
from protocol.spool.deliveries import Deliveries
from protocol.spool.draining import Draining
from protocol.spool.erasing import Erasing
from protocol.spool.figures.reading import Statistics
from protocol.spool.images import Images
from protocol.spool.letters import Letters
from protocol.spool.mined import Mined
from protocol.spool.notices import Notices
from protocol.spool.outbox import Outbox
from protocol.spool.places import Places, is_day
from protocol.spool.purging import Purging
from protocol.spool.quarantine import Quarantine
from protocol.spool.repeats import Repeats
from protocol.spool.rulebook import Rulebook
from protocol.spool.sightings import Sightings
from protocol.spool.singles import Singles
from protocol.spool.stillness import Stillness
from protocol.spool.studies import Studies
from protocol.spool.targets import Targets
from protocol.spool.watching import Watching
from protocol.spool.workers import Workers
from protocol.spool.writelock import WriteLock


class Spool:
    """All rooms over one database and one file system."""

    def __init__(self, home: Path, database: Database, fs: FsOps, clock: Clock) -> None:
        self.home = home
        self.places = Places(home)
        self.database = database
        self.fs = fs
        self.outbox = Outbox(database)
        self.workers = Workers(database, self.places, fs)
        self.images = Images(database, self.places, fs, clock, sync=database.full)
        self.adoption = Adoption(database, self.places, fs, clock, self.images, self.workers)
        self.arrivals = Arrivals(database)
        self.deliveries = Deliveries(database, self.places)
        self.browsing = Browsing(database)
        self.commands = Commands(database)
        self.bulk = Bulk(database)
        self.commitments = Commitments(database)
        self.confirmations = Confirmations(database)
        self.targets = Targets(database)
        self.accounting = Accounting(database, self.places, fs)
        self.cleaning = Cleaning(database, self.places, fs)
        self.purging = Purging(database)
        self.quarantine = Quarantine(database, self.places, fs)
        self.notices = Notices(database)
        self.alerts = Alerts(database)
        self.letters = Letters(database)
        self.watching = Watching(database)
        self.draining = Draining(database)
        self.stillness = Stillness(database)
        self.sightings = Sightings(database)
        self.studies = Studies(database)
        self.singles = Singles(database)
        self.rules = Rulebook(database)
        self.repeats = Repeats(database)
        self.erasing = Erasing(database, self.cleaning)
        self.mined = Mined(database, self.places, fs)
        self.statistics = Statistics(self.places.figures, clock)

    def on_events(self, tell: Callable[[], None]) -> None:
        """Call `tell` after every commit that recorded events (the actor's nudge to the bus)."""
        self.database.committed = tell

    def close(self) -> None:
        """Let go of the database; the last to leave checkpoints it."""
        self.statistics.close()
        self.database.close()


def open_spool(
    home: Path, *, source: str = "/local/test/0", fs: FsOps | None = None, clock: Clock | None = None,
    durability: str = "fsync", effects: Effects = NO_EFFECTS, create: bool = False, node: str = "local",
    reading: bool = False,
) -> Spool:  # fmt: skip
    """Open the spool below `home`.

    `source` names this process in events (/node/actor/instance). `durability` is fsync (acknowledged images survive a
    power cut) or relaxed (they survive kill -9 only). `create` makes folders and tables on a fresh home.
    `reading`: for who only looks; waits for nobody who writes while others have the spool open.
    Raises SpoolMissing (images without a database, or nothing there and not `create`), SpoolDamaged, SpoolNewer.
    """
    fs, clock, places = fs or RealFs(), clock or SystemClock(), Places(home)
    if create:
        for folder in places.folders():
            for touched in fs.makedirs(folder):
                fs.sync_dir(touched)
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)  # for the database, where `fs` is simulated
        for folder in (places.home, places.spool):
            fs.sync_dir(folder)  # also the names that an earlier start made and did not live to sync
    if not places.database.exists():
        if places.images.exists() and any(is_day(name) for name in fs.listdir(places.images)):
            raise SpoolMissing()
        if not create:
            raise SpoolMissing(f"there is no spool in {home} yet; `scanpost up` makes one")
        with (
            closing(WriteLock(places.write_lock)) as lock,
            lock,
        ):  # two who start at once must not take each other's database away
            if not places.database.exists():
                create_database(places.database, clock, node, boot_id())
    database = open_to_read(places.database, places.write_lock, clock, source) if reading else None
    database = database or Database(
        places.database, places.write_lock, clock, source, full=durability != "relaxed", effects=effects
    )
    return Spool(home, database, fs, clock)


def boot_id() -> str:
    """A text that changes with every start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
