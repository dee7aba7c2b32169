"""Remove weights: criteria, schedules, search, rewiring."""
