{{/* Pods that call the service as a CRM does: the load test and `helm test`. */}}

{{- define "leadscore.client" -}}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
securityContext:
  {{- include "leadscore.podSecurity" (dict "uid" 10001) | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
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
