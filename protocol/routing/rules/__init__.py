"""The rule language: one readable expression decides whether a rule applies to an arrival.

The rooms: `language` (text to tree), `compiler` (tree to closures), `explain` and `english` (tree to words), `values`
(types and three-valued logic), `functions`, `names`, `subject`. It must not know what a rule does; that is `decide`.
"""
