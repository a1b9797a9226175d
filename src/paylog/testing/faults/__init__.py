"""Random faults over ingest and backfill: ``python -m paylog.testing.faults`` (docs/reliability.md)."""
