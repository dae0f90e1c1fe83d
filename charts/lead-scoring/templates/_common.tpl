{{/* What every pod of the release has in common: identity, placement, labels, volumes, authorities. */}}

{{/*
How the values want the pods of a workload, as YAML: .root, .of (the workload's own values). Maps are merged, lists of volumes
joined; anything else of the workload wins over `pods`.
*/}}
{{- define "leadscore.podValues" -}}
{{- $all := .root.Values.pods -}}
{{- $of := .of -}}
{{- $made := dict -}}
{{- range $key := list "affinity" "priorityClassName" "tolerations" "topologySpreadConstraints" -}}
{{- $_ := set $made $key (default (get $all $key) (get $of $key)) -}}
{{- end -}}
{{- $_ := set $made "nodeSelector" (merge dict $of.nodeSelector $all.nodeSelector) -}}
{{- $_ := set $made "annotations" (merge dict $of.podAnnotations $all.annotations) -}}
{{- $_ := set $made "volumes" (concat (include "leadscore.caVolumes" .root | fromYamlArray) $all.extraVolumes $of.extraVolumes) -}}
{{- $_ := set $made "volumeMounts" (concat (include "leadscore.caMounts" .root | fromYamlArray) $all.extraVolumeMounts $of.extraVolumeMounts) -}}
{{- toYaml $made -}}
{{- end -}}

{{/* The first part of a pod spec: .root, .of, .uid, .account (its ServiceAccount; none if empty), .token ("true" to mount one). */}}
{{- define "leadscore.podHead" -}}
{{- $pod := include "leadscore.podValues" . | fromYaml -}}
automountServiceAccountToken: {{ eq (default "" .token) "true" }}
# Service links would set LEADSCORE_… variables of their own.
enableServiceLinks: false
{{- with .account }}
serviceAccountName: {{ . }}
{{- end }}
securityContext:
  {{- include "leadscore.podSecurity" . | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "affinity" "nodeSelector" "priorityClassName" "tolerations" "topologySpreadConstraints" }}
{{- with get $pod $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels of a pod template: .root, .component, .of. A selector's are never the user's. */}}
{{- define "leadscore.podLabels" -}}
{{ merge (include "leadscore.selector" . | fromYaml) .of.podLabels .root.Values.commonLabels | toYaml }}
{{- end -}}

{{- define "leadscore.podAnnotations" -}}
{{- with (include "leadscore.podValues" . | fromYaml).annotations -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* More entries of `volumes` and `volumeMounts`: .root, .of. */}}
{{- define "leadscore.moreVolumes" -}}
{{- with (include "leadscore.podValues" . | fromYaml).volumes -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "leadscore.moreMounts" -}}
{{- with (include "leadscore.podValues" . | fromYaml).volumeMounts -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* The restricted Pod Security Standard, pod and container part: .root, .uid. */}}
{{- define "leadscore.podSecurity" -}}
runAsNonRoot: true
{{- if not .root.Values.pods.platformUser }}
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "leadscore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Name of a role's ServiceAccount: .given (its values), .name (the chart's own). */}}
{{- define "leadscore.account" -}}
{{ default .name .given.name }}
{{- end -}}

{{/* A role's ServiceAccount, unless there is one already: .root, .component, .given, .name. Its token is mounted nowhere by itself. */}}
{{- define "leadscore.serviceAccount" -}}
{{- if not .given.name -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels: {{ include "leadscore.labels" . | nindent 4 }}
  {{- with .given.annotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
{{- end }}
{{- end -}}

{{/* The certificate authorities of `caBundle`: a folder (a file would never see a renewed bundle), and who reads it. */}}
{{- define "leadscore.caFile" -}}/etc/leadscore-ca/ca.crt{{- end -}}

{{- define "leadscore.caVolumes" -}}
{{- with .Values.caBundle -}}
{{- if .configMap }}
- name: ca-bundle
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- else if .secret }}
- name: ca-bundle
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "leadscore.caMounts" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- {name: ca-bundle, mountPath: {{ dir (include "leadscore.caFile" .) }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* OpenSSL (the registry's REST interface), requests (MLflow, OTLP), boto3 (object stores): each reads a variable of its own. */}}
{{- define "leadscore.caEnv" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}
- {name: {{ . }}, value: {{ include "leadscore.caFile" $ }}}
{{- end }}
{{- end }}
{{- end -}}
