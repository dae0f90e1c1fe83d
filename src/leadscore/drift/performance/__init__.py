"""Performance by outcomes (ranking and calibration), and its estimate before outcomes are known."""
