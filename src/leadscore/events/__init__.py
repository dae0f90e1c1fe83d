"""What was predicted and what became of it: spool, shipper, store, windows."""
