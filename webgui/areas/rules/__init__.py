"""Rules: the list, the editor with its test panel and backtest, drafts, activation."""
