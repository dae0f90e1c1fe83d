"""The operator: reconciles DriftDetectors, RetrainPolicies, RetrainRuns and ModelReleases."""
