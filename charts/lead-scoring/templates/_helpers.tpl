{{- define "leadscore.fullname" -}}
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
{{ include "leadscore.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: leadscore
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image reference; the digest wins over the tag. */}}
{{- define "leadscore.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .tag .image.tag }}
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

{{/* The URL of a database: from the named Secret, or in the bundled PostgreSQL. */}}
{{- define "leadscore.databaseEnv" -}}
{{- if .existingSecret }}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .urlKey }}}}
{{- else }}
- name: POSTGRESQL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "leadscore.postgresqlSecret" .root }}, key: password}}
- name: {{ .name }}
  value: {{ printf "%s://leadscore:$(POSTGRESQL_PASSWORD)@%s-postgresql:5432/%s" .scheme (include "leadscore.fullname" .root) .database }}
{{- end }}
{{- end -}}

{{/* The restricted Pod Security Standard, pod and container part. */}}
{{- define "leadscore.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "leadscore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
