"""Tables in (CSV, Parquet, Delta) as Arrow, the training matrix, and the synthetic CRM."""
