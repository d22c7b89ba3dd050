"""The first five minutes: point a scanner here, add a target, send a test study, make a rule of it."""
