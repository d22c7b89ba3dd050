"""What is odd about a valid routing configuration, as findings: errors that stop an import, and warnings.

The rooms: `whole` (everything at once), `rules` (rules that cannot act), `proofs` (what follows from what), `loops` and
`ourselves` (images that come back), `findings`. It must not guess: what is not proven is no finding.
"""
