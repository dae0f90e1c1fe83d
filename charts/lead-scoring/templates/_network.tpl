{{/* Parts of NetworkPolicies. Each list of rules is empty where nothing is to be reached. */}}

{{- define "leadscore.releasePods" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Selects pods of this release: .root, .components. */}}
{{- define "leadscore.podsOf" -}}
{matchLabels: {{ include "leadscore.releasePods" .root | fromYaml | toJson }}, matchExpressions: [{key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}]}
{{- end -}}

{{- define "leadscore.clients" -}}
{{ include "leadscore.podsOf" (dict "root" . "components" (list "load-test" "helm-test")) }}
{{- end -}}

{{- define "leadscore.bundledPostgresql" -}}
- to: [{podSelector: {matchLabels: {{ include "leadscore.selector" (dict "root" . "component" "postgresql") | fromYaml | toJson }}}}]
  ports: [{port: 5432}]
{{- end -}}

{{- define "leadscore.eventStoreEgress" -}}
{{- if .Values.events.existingSecret -}}
{{- with .Values.networkPolicy.databaseEgress }}{{ toYaml . }}{{ end -}}
{{- else -}}
{{ include "leadscore.bundledPostgresql" . }}
{{- end -}}
{{- end -}}

{{- define "leadscore.mlflowDatabaseEgress" -}}
{{- if .Values.mlflow.existingSecret -}}
{{- with .Values.networkPolicy.databaseEgress }}{{ toYaml . }}{{ end -}}
{{- else -}}
{{ include "leadscore.bundledPostgresql" . }}
{{- end -}}
{{- end -}}

{{- define "leadscore.objectStoreEgress" -}}
{{- with .Values.networkPolicy.objectStoreEgress }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The registry, and the artefacts that it names: they are not proxied. */}}
{{- define "leadscore.registryEgress" -}}
{{ include "leadscore.mlflowEgress" . }}
{{ include "leadscore.objectStoreEgress" . }}
{{- end -}}

{{- define "leadscore.mlflowEgress" -}}
{{- if and .Values.mlflow.enabled (not .Values.model.registry.trackingUri) -}}
- to: [{podSelector: {matchLabels: {{ include "leadscore.selector" (dict "root" . "component" "mlflow") | fromYaml | toJson }}}}]
  ports: [{port: 5000}]
{{- end -}}
{{- end -}}

{{- define "leadscore.extraEgress" -}}
{{- with .Values.networkPolicy.extraEgress }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* What lies outside and is allowed by nothing: with a policy that is enforced no pod would reach it. */}}
{{- define "leadscore.refuseUnreachable" -}}
{{- $v := .Values -}}
{{- $n := $v.networkPolicy -}}
{{- if and $n.enabled (not $n.extraEgress) -}}
{{- if and (or $v.events.existingSecret (and $v.mlflow.enabled $v.mlflow.existingSecret)) (not $n.databaseEgress) -}}
{{- fail "networkPolicy.enabled allows only what it names, and nothing names your PostgreSQL (events.existingSecret, mlflow.existingSecret): no pod could reach it. Set networkPolicy.databaseEgress, such as [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 5432}]}]." -}}
{{- end -}}
{{- if and $v.mlflow.enabled (not (hasPrefix "file:" $v.mlflow.artifactRoot)) (not $n.objectStoreEgress) -}}
{{- fail (printf "networkPolicy.enabled allows only what it names, and nothing names the object store of mlflow.artifactRoot=%s: no model could be published or fetched. Set networkPolicy.objectStoreEgress, such as [{ports: [{port: 443}]}]." $v.mlflow.artifactRoot) -}}
{{- end -}}
{{- if $v.model.registry.trackingUri -}}
{{- fail (printf "networkPolicy.enabled allows only what it names, and nothing names the registry %s. Set networkPolicy.extraEgress." $v.model.registry.trackingUri) -}}
{{- end -}}
{{- if and $v.monitor.enabled $v.monitor.channels.existingSecret (not $n.channelsEgress) -}}
{{- fail "networkPolicy.enabled allows only what it names, and nothing names the channels of monitor.channels.existingSecret: no alert would reach anybody. Set networkPolicy.channelsEgress, such as [{ports: [{port: 443}, {port: 587}]}]." -}}
{{- end -}}
{{- if and (include "leadscore.crmApis" .) (not $n.crmEgress) -}}
{{- fail "networkPolicy.enabled allows only what it names, and nothing names the CRMs of crm.targets: no score would reach them. Set networkPolicy.crmEgress, such as [{ports: [{port: 443}]}]." -}}
{{- end -}}
{{- if and $v.batch.enabled (or (contains "://" $v.batch.leads) (contains "://" $v.batch.lake)) (not $n.objectStoreEgress) -}}
{{- fail "networkPolicy.enabled allows only what it names, and nothing names the object store of batch.leads and batch.lake: no night could be scored. Set networkPolicy.objectStoreEgress, such as [{ports: [{port: 443}]}]." -}}
{{- end -}}
{{- if $v.scoring.otlpEndpoint -}}
{{- fail (printf "networkPolicy.enabled allows only what it names, and nothing names the collector %s. Set networkPolicy.extraEgress." $v.scoring.otlpEndpoint) -}}
{{- end -}}
{{- end -}}
{{- end -}}
