"""The event log that loses nothing: spool, shipper, store, windows.

```
service worker ── SpoolWriter ──► worker-NNN/*.spool ── Shipper ──► EventStore ──► windows (Arrow)
  (one write(2) before the reply)   (bounded, per worker)  (own process)   (SQLite or PostgreSQL)
```
"""
