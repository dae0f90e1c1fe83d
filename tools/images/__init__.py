"""Images by role: built from ordinary Dockerfiles, the same bytes every time, with a bill of materials each."""
