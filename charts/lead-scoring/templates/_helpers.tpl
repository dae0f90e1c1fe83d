{{- define "leadscore.fullname" -}}
{{- /* Asked for first by every template. */ -}}
{{- if not (hasKey .Values "pods") -}}
{{- fail "These values are an earlier chart's as a whole (--reuse-values) and lack what this one has added. Upgrade with --reset-then-reuse-values, or give your values with -f." -}}
{{- end -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a selector may hold: never changes in the life of a release. */}}
{{- define "leadscore.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "leadscore.labels" -}}
{{- $own := include "leadscore.ownLabels" . | fromYaml -}}
{{ merge $own .root.Values.commonLabels | toYaml }}
{{- end -}}

{{- define "leadscore.ownLabels" -}}
{{ include "leadscore.selector" . }}
app.kubernetes.io/version: {{ include "leadscore.labelValue" .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: leadscore
helm.sh/chart: {{ include "leadscore.labelValue" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) }}
{{- end -}}

{{/* A version as a label's value: build metadata begins with a `+`, which labels and image tags do not know. */}}
{{- define "leadscore.labelValue" -}}
{{ . | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "_" | trimSuffix "." }}
{{- end -}}

{{/* An image reference; the digest wins over the tag. */}}
{{- define "leadscore.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default (replace "+" "_" .tag) .image.tag }}
{{- end -}}
{{- end -}}

{{/* "true" if a new version is brought in by weight. */}}
{{- define "leadscore.canary" -}}
{{- if and (eq .Values.workload.kind "Rollout") (eq .Values.rollout.strategy "canary") -}}true{{- end -}}
{{- end -}}

{{- define "leadscore.weighted" -}}
{{- if and (include "leadscore.canary" .) (eq .Values.trafficRouting.provider "traefik") -}}true{{- end -}}
{{- end -}}

{{- define "leadscore.trackingUri" -}}
{{- if .Values.model.registry.trackingUri -}}
{{ .Values.model.registry.trackingUri }}
{{- else if .Values.mlflow.enabled -}}
http://{{ include "leadscore.fullname" . }}-mlflow:5000
{{- end -}}
{{- end -}}

{{- define "leadscore.apiKeysSecret" -}}
{{ default (printf "%s-api-keys" (include "leadscore.fullname" .)) .Values.apiKeys.existingSecret }}
{{- end -}}

{{- define "leadscore.postgresqlSecret" -}}
{{ default (printf "%s-postgresql" (include "leadscore.fullname" .)) .Values.postgresql.existingSecret }}
{{- end -}}

{{/* The URL of a database: from the named Secret, verified if `caBundle` says by which authorities, or in the bundled PostgreSQL. */}}
{{- define "leadscore.databaseEnv" -}}
{{- if .existingSecret }}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .urlKey }}}}
{{- if include "leadscore.caEnv" .root }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: {{ include "leadscore.caFile" .root }}}
{{- end }}
{{- else }}
- name: POSTGRESQL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "leadscore.postgresqlSecret" .root }}, key: {{ .root.Values.postgresql.passwordKey }}}}
- name: {{ .name }}
  value: {{ printf "%s://leadscore:$(POSTGRESQL_PASSWORD)@%s-postgresql:5432/%s" .scheme (include "leadscore.fullname" .root) .database }}
{{- end }}
{{- end -}}
