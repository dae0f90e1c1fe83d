"""What every reconcile needs.

A queue, a clock, a lease, a record of events, and a sense of its own health.
"""
