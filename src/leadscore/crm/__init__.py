"""Write-back: what the model says of a lead, beside the lead in the CRM, by three routes.

Changed scores become messages of the outbox, one per target and lead; a target is a CRM's API, a webhook
endpoint, or a Delta table that the CRM's own job reads.
"""
