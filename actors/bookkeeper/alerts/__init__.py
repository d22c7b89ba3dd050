"""Alerts and notifications: what is wrong, who is told, and the way there. Part of the bookkeeper's process, on the spool
alone: it must work while the ledger's database is away.

One round: `readings` looks at the node; `conditions` (pure) says what is wrong now; `life` (pure) compares that with the
alerts that stand and says what becomes of them, and of whom people are to be told; the spool does both. `rules` makes
notifications of what happened (the outbox, with a cursor of its own). What is to be told are items in the spool; `post`
makes letters of them, which `mail` and `webhook` carry, each in a thread of its own, until they are taken or too old.

Nothing is in memory alone: kill -9 at any point repeats a letter at most (with the same number), and loses none.
"""
