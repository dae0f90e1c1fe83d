"""Pictures of the console for its documentation."""
