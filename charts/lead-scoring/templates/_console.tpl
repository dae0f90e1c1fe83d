{{/* What console and monitor have in common: they read the store and what models were trained on, and have no rights. */}}

{{/* The address that people open; empty if nobody has said one. */}}
{{- define "leadscore.consoleUrl" -}}
{{- if .Values.console.url -}}
{{ .Values.console.url | trimSuffix "/" }}
{{- else if .Values.console.host -}}
http{{ if or .Values.console.tlsSecret (eq .Values.trafficRouting.provider "gatewayAPI") }}s{{ end }}://{{ .Values.console.host }}
{{- end -}}
{{- end -}}

{{- define "leadscore.consoleSessionSecret" -}}
{{ default (printf "%s-console-session" (include "leadscore.fullname" .)) .Values.console.sessions.existingSecret }}
{{- end -}}

{{- define "leadscore.viewerEnv" -}}
{{- $v := .Values -}}
- {name: HOME, value: /tmp}
- {name: LEADSCORE_HOME, value: /var/lib/leadscore}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- with include "leadscore.trackingUri" . }}
- {name: LEADSCORE_TRACKING_URI, value: {{ . | quote }}}
{{- end }}
{{- include "leadscore.databaseEnv" (dict "root" . "name" "LEADSCORE_EVENTS_URL" "scheme" "postgresql" "database" "leadscore" "existingSecret" $v.events.existingSecret "urlKey" $v.events.urlKey) }}
{{- with include "leadscore.consoleUrl" . }}
- {name: LEADSCORE_CONSOLE_URL, value: {{ . | quote }}}
{{- end }}
{{- with $v.monitoring.alerts.runbookUrl }}
- {name: LEADSCORE_RUNBOOK_URL, value: {{ . | quote }}}
{{- end }}
{{- include "leadscore.batchEnv" . }}
{{- include "leadscore.crmViewerEnv" . | nindent 0 }}
{{- include "leadscore.caEnv" . }}
{{- end -}}

{{/* Models that scoring pods have fetched, and artefacts in a folder: what a version was trained on is read from them. */}}
{{- define "leadscore.viewerMounts" -}}
- {name: home, mountPath: /var/lib/leadscore}
- {name: tmp, mountPath: /tmp}
{{- if and (eq .Values.model.source "registry") .Values.model.registry.cacheClaim }}
- {name: models, mountPath: /var/lib/leadscore/models}
{{- end }}
{{- if and (eq .Values.model.source "registry") .Values.mlflow.artifactClaim }}
- {name: artefacts, mountPath: /artefacts, readOnly: true}
{{- end }}
{{- include "leadscore.crmViewerMounts" . | nindent 0 }}
{{- end -}}

{{- define "leadscore.viewerVolumes" -}}
- {name: home, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- if and (eq .Values.model.source "registry") .Values.model.registry.cacheClaim }}
- name: models
  persistentVolumeClaim: {claimName: {{ .Values.model.registry.cacheClaim }}}
{{- end }}
{{- if and (eq .Values.model.source "registry") .Values.mlflow.artifactClaim }}
- name: artefacts
  persistentVolumeClaim: {claimName: {{ .Values.mlflow.artifactClaim }}, readOnly: true}
{{- end }}
{{- include "leadscore.crmViewerVolumes" . | nindent 0 }}
{{- end -}}

{{/* Probes ask the process and never the store: one that is away is no reason to start a pod again. The path that says it lives. */}}
{{- define "leadscore.viewerProbes" -}}
startupProbe:
  httpGet: {path: {{ . }}, port: http}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: {{ . }}, port: http}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* What both reach: the event store and the registry, no object store: a model in one is there once a scoring pod has fetched it. */}}
{{- define "leadscore.viewerEgress" -}}
{{ include "leadscore.eventStoreEgress" . }}
{{- include "leadscore.mlflowEgress" . | nindent 0 }}
{{- include "leadscore.extraEgress" . | nindent 0 }}
{{- end -}}

{{/* With models in images, the one that is served: where a registry has them, they are read from its folders. .root, .of. */}}
{{- define "leadscore.viewerInit" -}}
{{- $v := .root.Values -}}
{{- $version := include "leadscore.version" (dict "root" .root "live" (include "leadscore.live" .root | fromYaml)) -}}
{{- if and (eq $v.model.source "image") $version -}}
initContainers:
  - name: model
    image: {{ include "leadscore.image" (dict "image" $v.model.image "tag" $version) }}
    imagePullPolicy: {{ $v.model.image.pullPolicy }}
    command: [sh, -c, 'mkdir -p "$1" && cp -R "$0/." "$1/"', {{ $v.model.image.path | quote }}, "/var/lib/leadscore/models/{{ $v.model.name }}/{{ $version }}"]
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 256Mi}
    securityContext: {{ include "leadscore.containerSecurity" .root | nindent 6 }}
    volumeMounts:
      - {name: home, mountPath: /var/lib/leadscore}
      {{- include "leadscore.moreMounts" . | nindent 6 }}
{{- end }}
{{- end -}}
