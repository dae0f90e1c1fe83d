"""Parts that every reconcile needs: queue, clock, lease, event record and health."""
