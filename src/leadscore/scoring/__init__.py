"""The hot path: decode, encode, predict, calibrate, grade, give reasons."""
