"""Tables in (CSV, Parquet, Delta) as Arrow, the training matrix, bulk scoring, and the synthetic CRM."""
