"""What rules would have done with the arrivals of the past: a draft against the active set, pure, in one pass.

The rooms: `whole` (the pass), `cases` (an arrival of the past), `judge` (one configuration's judgement of it), `truths` and
`images` (clauses asked once per distinct value), `report` and `document` (counts and what is told of them). It must not read
a ledger; protocol/ledger hands the arrivals in.
"""
