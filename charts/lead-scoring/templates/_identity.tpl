{{/* Which OIDC tokens are taken, as environment variables. */}}
{{- define "leadscore.oidcEnv" -}}
{{- with .Values.auth.oidc -}}
{{- if .issuer -}}
- {name: LEADSCORE_OIDC_ISSUER, value: {{ .issuer | quote }}}
- {name: LEADSCORE_OIDC_AUDIENCE, value: {{ required "auth.oidc.issuer needs auth.oidc.audience: without it a token for another application would be taken." .audience | quote }}}
- {name: LEADSCORE_OIDC_ALGORITHMS, value: {{ join "," .algorithms | quote }}}
- {name: LEADSCORE_OIDC_SCOPES_CLAIM, value: {{ .scopesClaim | quote }}}
- {name: LEADSCORE_OIDC_NAME_CLAIM, value: {{ .nameClaim | quote }}}
- {name: LEADSCORE_OIDC_LEEWAY_S, value: {{ int64 .leewaySeconds | quote }}}
{{- with .jwksUrl }}
- {name: LEADSCORE_OIDC_JWKS_URL, value: {{ . | quote }}}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Secret with the public parts of the keys of people who may approve: one of its own, or that of the API keys. */}}
{{- define "leadscore.approversSecret" -}}
{{ default (include "leadscore.apiKeysSecret" .) .Values.auth.approvers.existingSecret }}
{{- end -}}
{{- define "leadscore.approversKey" -}}
{{ ternary .Values.auth.approvers.secretKey .Values.apiKeys.secretKey (not (empty .Values.auth.approvers.existingSecret)) }}
{{- end -}}
