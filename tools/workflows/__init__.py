"""The CI workflows hold what actionlint and our own rules ask of them."""
