"""The rule language: one readable expression decides whether a rule applies to an arrival.

From text to tree: `line` (characters, places), `mercure` (foreign forms), `reader` with `references`, `constants`, `calls`,
all joined by `language`; what is refused is worded by `refusals`. From tree to answers: `closures`, `explain`, `english`,
joined by `compiler`. Values: `values` and `moments` (types, three-valued logic), `comparing`, `functions`, `derived`,
`patterns`, `names`; where they come from: `subject`, `images`. It must not know what a rule does; that is `decide`.
"""
