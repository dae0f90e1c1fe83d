"""A seeded synthetic CRM of a company-formation business, with scenarios that change it at a date."""
