{{/* Scores into CRMs: the file of targets, their credentials, and the key of webhooks' secrets. */}}

{{/* "true" if there are targets that are tables of the lake. */}}
{{- define "leadscore.crmTables" -}}
{{- range .Values.crm.targets -}}{{- if eq .kind "table" -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* "true" if there are targets that are told over the network. */}}
{{- define "leadscore.crmApis" -}}
{{- range .Values.crm.targets -}}{{- if ne .kind "table" -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* As LEADSCORE_CRM wants it: the folder of a target's credentials in place of its Secret. */}}
{{- define "leadscore.crmFile" -}}
{{- $targets := list -}}
{{- range .Values.crm.targets -}}
{{- $target := omit . "existingSecret" -}}
{{- if .existingSecret -}}
{{- $_ := set $target "credentials" (printf "/etc/leadscore-crm-credentials/%s" .name) -}}
{{- end -}}
{{- $targets = append $targets $target -}}
{{- end -}}
{{ dict "targets" $targets | toYaml }}
{{- end -}}

{{- define "leadscore.crmFileEnv" -}}
{{- if .Values.monitor.enabled }}
- {name: LEADSCORE_CRM, value: /etc/leadscore-crm/crm.yaml}
{{- end }}
{{- end -}}

{{- define "leadscore.crmFileMounts" -}}
{{- if .Values.monitor.enabled }}
- {name: crm, mountPath: /etc/leadscore-crm, readOnly: true}
{{- end }}
{{- end -}}

{{- define "leadscore.crmFileVolumes" -}}
{{- if .Values.monitor.enabled }}
- {name: crm, configMap: {name: {{ include "leadscore.fullname" . }}-crm}}
{{- end }}
{{- end -}}

{{/* Console and monitor, in which endpoints are made and signed for. */}}
{{- define "leadscore.crmKeySecret" -}}
{{ default (printf "%s-crm-key" (include "leadscore.fullname" .)) .Values.crm.webhooks.existingSecret }}
{{- end -}}

{{- define "leadscore.crmViewerEnv" -}}
{{- include "leadscore.crmFileEnv" . }}
- {name: LEADSCORE_CRM_KEY, value: /etc/leadscore-crm-key/crm.key}
{{- with .Values.crm.webhooks.networks }}
- {name: LEADSCORE_WEBHOOK_NETWORKS, value: {{ join "," . | quote }}}
{{- end }}
{{- end -}}

{{- define "leadscore.crmViewerMounts" -}}
{{- include "leadscore.crmFileMounts" . }}
- {name: crm-key, mountPath: /etc/leadscore-crm-key, readOnly: true}
{{- end -}}

{{- define "leadscore.crmViewerVolumes" -}}
{{- include "leadscore.crmFileVolumes" . }}
- name: crm-key
  secret:
    secretName: {{ include "leadscore.crmKeySecret" . }}
    defaultMode: 0440
    items: [{key: {{ .Values.crm.webhooks.secretKey }}, path: crm.key}]
{{- end -}}

{{/* Of the monitor alone. A Secret that is not there stops its target and nothing else: without the pod no alert would be delivered. */}}
{{- define "leadscore.crmCredentialMounts" -}}
{{- range .Values.crm.targets }}
{{- if .existingSecret }}
- {name: crm-{{ .name }}, mountPath: /etc/leadscore-crm-credentials/{{ .name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "leadscore.crmCredentialVolumes" -}}
{{- range .Values.crm.targets }}
{{- if .existingSecret }}
- name: crm-{{ .name }}
  secret: {secretName: {{ .existingSecret }}, defaultMode: 0440, optional: true}
{{- end }}
{{- end }}
{{- end -}}
