"""Sources: who sends, who is known and how, strangers and how to make them known."""
