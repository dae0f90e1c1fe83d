"""The operator: makes the cluster do what DriftDetectors, RetrainPolicies, RetrainRuns and ModelReleases say."""
