"""The PostgreSQL of the tests hands no session of one test over to the next: a lock outlives who had it by a moment."""

import os
import signal
import threading

import psycopg2
import pytest

from protocol.ledger.record import Ledger, lock_key
from tests.ledger.ledger_events import NODE
from tests.postgres import session_ended


@pytest.fixture
def leave_a_slow_session():
    """Makes a session with a bookkeeper's lock whose client is gone; its server process notices after half a second."""
    timers = []

    def leave(url):
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key(NODE)])
        pid = connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        connection.close()
        timers.append(threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)))
        timers[-1].start()

    yield leave
    for timer in timers:
        timer.join()


def test_an_emptied_database_has_no_session_of_the_test_before(postgres, leave_a_slow_session):
    leave_a_slow_session(postgres.emptied())
    ledger = Ledger(postgres.emptied(), NODE)
    ledger.open()
    ledger.close()


def test_a_session_that_has_ended_has_no_lock(postgres, leave_a_slow_session):
    url = postgres.emptied()
    leave_a_slow_session(url)
    session_ended(url, NODE)
    ledger = Ledger(url, NODE)
    ledger.open()
    ledger.close()
