"""Images by role: built from ordinary Dockerfiles, reproducible, with a bill of materials each."""
