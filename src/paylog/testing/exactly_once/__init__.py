"""What the tests of exactly-once share: subscriptions, their runs, worker processes and the books kept."""
