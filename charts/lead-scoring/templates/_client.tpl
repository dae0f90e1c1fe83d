{{/* Pods that call the service as a CRM does: the load test and `helm test`. */}}

{{- define "leadscore.client" -}}
restartPolicy: Never
{{ include "leadscore.podHead" (dict "root" . "of" .Values.loadTest "uid" 10001) }}
volumes:
  - {name: tmp, emptyDir: {}}
  {{- include "leadscore.moreVolumes" (dict "root" . "of" .Values.loadTest) | nindent 2 }}
{{- end -}}

{{- define "leadscore.clientMounts" -}}
- {name: tmp, mountPath: /tmp}
{{ include "leadscore.moreMounts" (dict "root" . "of" .Values.loadTest) }}
{{- end -}}

{{/* The Secret with a key in the plain; empty if there is none that the chart knows. */}}
{{- define "leadscore.clientSecret" -}}
{{- if eq .Values.scoring.auth "keys" -}}
{{- if .Values.apiKeys.clientSecret -}}
{{ .Values.apiKeys.clientSecret }}
{{- else if not .Values.apiKeys.existingSecret -}}
{{ include "leadscore.fullname" . }}-first-key
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "leadscore.clientKeyEnv" -}}
{{- with include "leadscore.clientSecret" . -}}
- name: LEADSCORE_API_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.apiKeys.clientSecretKey }}}}
{{- end -}}
{{- end -}}
