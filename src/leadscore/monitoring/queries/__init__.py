"""Numbers for pages, alerts and reports, each with its time, its n and how complete its labels are."""
