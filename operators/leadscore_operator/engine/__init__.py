"""What every reconcile needs: a queue, a clock, a lease, a record of events, and a sense of its own health."""
