"""What people look at: Dash pages over roll-ups, releases, alerts and investigations, behind a sign-in."""
