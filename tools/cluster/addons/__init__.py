"""What the chart needs besides Kubernetes: Argo Rollouts, Traefik, metrics-server and Prometheus."""
